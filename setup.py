"""Package metadata and the console command ``appliance``."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = next(
    line.split('"')[1]
    for line in (HERE / "appliance" / "__init__.py").read_text().splitlines()
    if line.startswith("__version__")
)

setup(
    name="mobility-appliance",
    version=VERSION,
    description="PMIPv6 anchor and gateway, Diameter and Mobile AAA server, with a StarOS-like CLI",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    packages=find_packages(include=["appliance", "appliance.*"]),
    package_data={"appliance": ["py.typed"], "appliance.protocols.diameter.message": ["dict/*.dia"]},
    install_requires=[
        "twisted[conch,tls]>=26.4",
        "prompt_toolkit>=3.0.50",
        "pyopenssl>=26.0",
        "attrs>=25.3",
        "netifaces-plus>=0.12.4",
        "pyroute2>=0.9.4",
        "cffi>=2.0",
        "google-re2>=1.1.20251105",
        "psycopg[binary]>=3.2",
    ],
    extras_require={
        "test": ["hypothesis>=6.150", "scapy>=2.6.1", "mypy>=2.0", "ruff>=0.15", "python-diameter>=0.9"]
    },
    entry_points={"console_scripts": ["appliance=appliance.__main__:main"]},
)
