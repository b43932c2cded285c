"""The names, choices and defaults of the change feed's options, where both the parser and the command find them.

It imports nothing, because az loads it for -h. Those that the reader has too are compared with it by a test.
"""

ACTIONS = ('Create', 'Update', 'Delete')
STATES = ('Current', 'Replaced', 'Deleted')
BUCKETS = ('hour', 'day', 'study')
LEVELS = ('study', 'series')
UID_FILTERS = ('study_instance_uid', 'series_instance_uid', 'sop_instance_uid')
FILTERS = ('action', 'state', *UID_FILTERS, 'partition_name')

MAX_ITEMS = 100
MOST_FOR_QUERY = 10_000
MOST_FOR_QUERY_WITH_METADATA = 1_000
CONCURRENCY = 8
POLL_INTERVAL = '10s'
SETTLE = '60s'
