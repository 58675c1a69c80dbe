# The stand-in for testcontainers/ryuk: its protocol in Python, on the image of Python.
# shellcheck shell=bash

version() { echo "$tag"; }

fill() { tag=$2; }
