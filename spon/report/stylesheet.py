"""The style of the page: it loads no font, no image and no other style."""

# A backslash ends a line that the page has in one piece.
STYLE = """
:root { color-scheme: light; --ink: #1a1a1a; --muted: #5c5c5c; --faint: #dcdcdc; --link: #00528a; }
* { box-sizing: border-box; }
html { background: #fff; color: var(--ink); -webkit-text-size-adjust: 100%; \
text-size-adjust: 100%; }
body { margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 78rem; line-height: 1.55; \
overflow-wrap: break-word;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
:is(main, .first, .folded) > :is(h1, h2, h3, h4, p, ul, ol, blockquote), figcaption \
{ max-width: 72ch; }
h1, h2, h3, h4 { line-height: 1.25; margin: 2rem 0 0.6rem; text-wrap: balance; \
scroll-margin-top: 1rem; }
h1 { font-size: 1.8rem; margin-top: 0; }
h2 { font-size: 1.35rem; margin-top: 2.8rem; }
h3 { font-size: 1.1rem; }
h4 { font-size: 1rem; }
p, ul, ol, blockquote, pre, figure, .table { margin: 0 0 1rem; }
ul, ol { padding-left: 1.4rem; }
li { margin: 0.3rem 0; }
a { color: var(--link); text-underline-offset: 0.15em; }
blockquote { padding-left: 1rem; border-left: 3px solid var(--faint); color: var(--muted); }
code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: 0.9em; }
pre { padding: 0.8rem 1rem; overflow-x: auto; background: #f6f6f6; }
hr { border: 0; border-top: 1px solid var(--faint); margin: 2rem 0; }
.table { overflow-x: auto; max-width: 100%; font-size: 0.88rem; line-height: 1.4;
  /* a shadow at the right edge while there is more to see */
  background: linear-gradient(to left, #fff 1rem, #fff0 2.5rem) \
right / 2.5rem 100% no-repeat local,
    linear-gradient(to left, #0003, #0000) right / 0.8rem 100% no-repeat scroll; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.35rem 0.9rem 0.35rem 0; text-align: left; vertical-align: top; }
th:last-child, td:last-child { padding-right: 0; }
th { font-weight: 600; vertical-align: bottom; border-bottom: 1px solid var(--ink); }
td { border-bottom: 1px solid var(--faint); }
thead:not(:has(th:not(:empty))) { display: none; }
.short { white-space: nowrap; }
.long { min-width: 11rem; }
.first > h2 { margin-top: 1.2rem; }
figure { margin: 1.6rem 0 2rem; scroll-margin-top: 1rem; }
figure img { display: block; max-width: 100%; height: auto; }
figcaption { margin-top: 0.6rem; font-size: 0.9rem; color: var(--muted); }
.large { display: block; cursor: zoom-in; }
.close { display: none; }
/* an image that was opened covers the page, in its full size, until it is closed */
.large:target { position: fixed; inset: 0; z-index: 1; overflow: auto; padding: 3.5rem 1rem 1rem; \
background: #fff; cursor: auto; }
.large:target img { max-width: none; min-width: 100%; }
.large:target + .close { display: block; position: fixed; top: 0.7rem; right: 1rem; z-index: 2; \
padding: 0.35rem 0.9rem; background: #fff; border: 1px solid; border-radius: 0.3rem; }
html:has(.large:target) { overflow: hidden; }
details { border-bottom: 1px solid var(--faint); }
summary { padding: 0.7rem 0; cursor: pointer; }
summary h2 { display: inline; font-size: 1.1rem; }
.folded { padding: 0.3rem 0 1rem; scroll-margin-top: 4rem; }
nav { font-size: 0.92rem; border: solid var(--faint); border-width: 1px 0; }
nav details { border: 0; }
nav ul { margin: 0; padding: 0 0 0.7rem; list-style: none; }
nav li { display: inline-block; margin: 0.2rem 1rem 0.2rem 0; }
nav a { text-decoration: none; }
nav a:hover { text-decoration: underline; }
@media (max-width: 40rem) {
  .first table { font-size: 0.8rem; }
  .first :is(th, td) { padding-right: 0.5rem; }
  .first .short { white-space: normal; }
  .large:not(:target)::after { content: "Tap to enlarge"; font-size: 0.9rem; }
}
@media (min-width: 78rem) {
  /* the first figure stands beside its section; the last row takes what the text leaves free */
  .first:has(> figure) { display: grid; column-gap: 2rem; \
grid-template: repeat(40, auto) 1fr / minmax(0, 8fr) minmax(0, 7fr); }
  .first > * { grid-column: 1; }
  .first > figure:first-of-type { grid-area: 1 / 2 / span 41; margin: 1.2rem 0 0; }
  .first table { font-size: 0.8rem; }
  .first :is(th, td) { padding-right: 0.5rem; }
}
@media (min-width: 94rem) {
  body.listed { max-width: 96rem; padding-top: 2.5rem; padding-left: 17.5rem; }
  nav { position: fixed; top: 2.5rem; width: 13.5rem; max-height: calc(100vh - 5rem); \
overflow-y: auto; margin: 0 0 0 -16.25rem; border: 0; }
  nav li { display: block; margin: 0.3rem 0; }
  @supports selector(::details-content) {
    nav summary { display: none; }
    nav details::details-content { content-visibility: visible; block-size: auto; }
  }
}
@media print {
  @page { margin: 18mm 15mm; }
  body, body.listed { max-width: none; padding: 0; font-size: 10pt; }
  nav, .close { display: none !important; }
  .first { display: block !important; }
  .large:target { position: static; padding: 0; }
  :is(main, .first, .folded) > :is(h1, h2, h3, h4, p, ul, ol, blockquote), figcaption \
{ max-width: none; }
  details::details-content { content-visibility: visible; block-size: auto; }
  h1, h2, h3, h4 { break-after: avoid; }
  figure, tr { break-inside: avoid; }
  .table { overflow: visible; background: none; font-size: 7.5pt; }
  th, td { padding-right: 0.5rem; }
  a { color: inherit; text-decoration: none; }
}
"""
