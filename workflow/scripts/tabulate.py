"""Tabulate all evaluations of a study."""

import json
from pathlib import Path

import pandas as pd

from spon import tables
from spon.job import job

with job(snakemake):
    spec = snakemake.params.spec
