"""az dicom proxy: a local address for the service, for DICOMweb tools that cannot sign in."""
