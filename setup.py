"""Packaging. Everything is declared in setup.cfg; az and azdev look for this file."""

from setuptools import setup

setup()
