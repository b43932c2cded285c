"""Packaging. What can be declared is in setup.cfg; az and azdev look for this file."""

from setuptools import setup
from setuptools.command.build_py import build_py

from scripts import vendor


class BuildWithVendored(build_py):
    """Every wheel carries the code of others that it needs; in a checkout it may not be there."""

    def run(self):
        try:
            vendor.provide()
        except vendor.VendorError as error:
            raise SystemExit(str(error)) from None
        self.packages = [*self.packages, *vendor.PACKAGES]
        super().run()


setup(cmdclass={'build_py': BuildWithVendored})
