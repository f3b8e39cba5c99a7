"""Files of text, and the settings of a text that is read from them."""


def write(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def settings(path, data_files=None, **changes):
    files = {} if data_files is None else {"data_files": data_files}
    return {"path": path, "split": "train", "field": "text"} | files | changes
