from embedded_dds.types import install_package

install_package(__name__)
