"""The change feed as a source of Apache Spark, for batch and for Structured Streaming (PySpark 4.0 or later).

    from dicomfeed.spark import DicomChangeFeed

    spark.dataSource.register(DicomChangeFeed)
    spark.read.format('dicomchangefeed').option('serviceUrl', 'https://WORKSPACE-SERVICE.dicom...').load()

Nothing else of this project loads this package, and only it loads pyspark, pyarrow and azure-identity. It reads with
the reader's own client, rules and gaps; what it adds is how the work is divided and what Spark's checkpoint holds:

    source      the class to register
    options     what a user may set, checked when `load()` is called
    batch       a plan of ranges or sub-windows for one job
    stream      what Spark asks of a stream: offsets and ranges
    prefix      the closed prefix of the feed, as the driver sees it grow
    offsets     where a stream stands, as text
    ranges      what one task reads
    rows        events as Arrow batches
    session     the feed as one process of a job reads it: client, trouble, errors
    tokens      where its tokens come from

The package has to be on every node: Spark's processes pass its classes by name.
"""

from dicomfeed.spark.source import DicomChangeFeed

__all__ = ['DicomChangeFeed']
