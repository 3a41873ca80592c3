import logging

# On import Beam warns that it lacks BigQuery's client, which nothing here uses.
logging.getLogger().addFilter(lambda record: "apitools not found" not in record.getMessage())
