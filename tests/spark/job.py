"""`python -m tests.spark.job FOLDER MASTER JSON`: a driver of its own, for tests that kill it.

Reads the feed into Parquet in FOLDER/table, with its checkpoint in FOLDER/checkpoint, until it is killed. JSON has the
options of the source.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(folder: Path, master: str, options: dict[str, str]) -> None:
    from pyspark.sql import SparkSession

    from dicomfeed.spark import DicomChangeFeed

    spark = (
        SparkSession.builder.master(master)
        .config('spark.driver.memory', '1g')
        .config('spark.ui.enabled', 'false')
        .config('spark.local.dir', str(folder / 'local'))
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel('ERROR')
    spark.dataSource.register(DicomChangeFeed)
    frame = spark.readStream.format(DicomChangeFeed.name()).options(**options).load()
    query = (
        frame.writeStream.format('parquet')
        .option('checkpointLocation', str(folder / 'checkpoint'))
        .start(str(folder / 'table'))
    )
    query.awaitTermination()


if __name__ == '__main__':
    main(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))
