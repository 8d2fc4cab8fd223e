"""Glue and DynamoDB, where moto differs from them: UpdateTable compares VersionId and obeys SkipArchive (moto
ignores both, so that a race of two commits would prove nothing), and calls that check and then write are
one step, though the server has many threads."""
import threading

from moto.core.exceptions import JsonRESTError
from moto.dynamodb.responses import DynamoHandler
from moto.glue.responses import GlueResponse


def update_table(self, original=GlueResponse.update_table):
    database, table_input = self.parameters["DatabaseName"], self.parameters["TableInput"]
    expected = self.parameters.get("VersionId")
    table = self.glue_backend.get_table(database, table_input["Name"])
    current = str(table._current_version)
    if expected is not None and expected != current:
        raise JsonRESTError("ConcurrentModificationException",
                            f"Update table failed due to concurrent modifications: at version {current}, not {expected}.")
    answer = original(self)
    if self.parameters.get("SkipArchive"):
        table.versions.pop(current, None)
    return answer


def one_at_a_time(response_class):
    lock, original = threading.RLock(), response_class.call_action

    def call_action(self):
        with lock:
            return original(self)
    response_class.call_action = call_action


def close():
    GlueResponse.update_table = update_table
    one_at_a_time(GlueResponse)
    one_at_a_time(DynamoHandler)
