# The stand-in for motoserver/moto: the package of the tag's very version, on the image of Python.
# shellcheck shell=bash

version() { echo "$tag"; }

fill() { tag=$2; }
