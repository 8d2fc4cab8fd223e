"""What Terraform's AWS provider asks for and moto leaves out: tags of scalable targets, the maintenance and
encryption of table buckets, a function's dead-letter queue, a service's enableExecuteCommand, the
deletion of a saved query."""
import json
from urllib.parse import unquote

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse as Scaling
from moto.athena.responses import AthenaResponse
from moto.awslambda.models import LambdaFunction
from moto.ecs.responses import EC2ContainerServiceResponse as Containers
from moto.s3tables.responses import S3TablesResponse as TableBuckets

JSON = {"Content-Type": "application/json"}

# ---- application autoscaling

TAGS = {}


def register_scalable_target(self, original=Scaling.register_scalable_target):
    answer = original(self)
    tags = self._get_param("Tags")
    if tags:
        TAGS.setdefault(json.loads(answer)["ScalableTargetARN"], {}).update(tags)
    return answer


def list_tags_for_resource(self):
    return json.dumps({"Tags": TAGS.get(self._get_param("ResourceARN"), {})})


def tag_resource(self):
    TAGS.setdefault(self._get_param("ResourceARN"), {}).update(self._get_param("Tags") or {})
    return "{}"


def untag_resource(self):
    for key in self._get_param("TagKeys") or []:
        TAGS.get(self._get_param("ResourceARN"), {}).pop(key, None)
    return "{}"


# ---- S3 Tables

MAINTENANCE = {}
ENCRYPTION = {}
KEEP = {"icebergUnreferencedFileRemoval": {
    "status": "enabled", "settings": {"icebergUnreferencedFileRemoval": {"unreferencedDays": 3, "nonCurrentDays": 10}}}}


def bucket_arn(self, last):
    """Of .../buckets/ARN/maintenance and .../buckets/ARN/maintenance/TYPE."""
    return unquote(self.raw_path).split("/buckets/")[1].split(f"/{last}")[0]


def get_maintenance(self):
    arn = bucket_arn(self, "maintenance")
    return 200, JSON, json.dumps({"tableBucketARN": arn, "configuration": {**KEEP, **MAINTENANCE.get(arn, {})}})


def put_maintenance(self):
    kind = unquote(self.raw_path).rsplit("/", 1)[1]
    MAINTENANCE.setdefault(bucket_arn(self, "maintenance"), {})[kind] = json.loads(self.body)["value"]
    return 204, {}, ""


def get_encryption(self):
    default = {"sseAlgorithm": "AES256"}
    return 200, JSON, json.dumps({"encryptionConfiguration": ENCRYPTION.get(bucket_arn(self, "encryption"), default)})


def put_encryption(self):
    ENCRYPTION[bucket_arn(self, "encryption")] = json.loads(self.body)["encryptionConfiguration"]
    return 200, JSON, "{}"


# ---- Lambda, ECS, Athena

def lambda_init(self, account_id, spec, *args, original=LambdaFunction.__init__, **kw):
    original(self, account_id, spec, *args, **kw)
    self.dead_letters = spec.get("DeadLetterConfig")


def lambda_configuration(self, *args, original=LambdaFunction.get_configuration, **kw):
    config = original(self, *args, **kw)
    if getattr(self, "dead_letters", None):
        config["DeadLetterConfig"] = self.dead_letters
    return config


def create_service(self, original=Containers.create_service):
    answer = original(self)
    service = answer.result["service"]
    service.enable_execute_command = bool(self._get_param("enableExecuteCommand"))
    service.availability_zone_rebalancing = self._get_param("availabilityZoneRebalancing") or "DISABLED"
    return answer


def delete_named_query(self):
    self.athena_backend.named_queries.pop(self._get_param("NamedQueryId"), None)
    return "{}"


def close():
    Scaling.register_scalable_target = register_scalable_target
    Scaling.list_tags_for_resource = list_tags_for_resource
    Scaling.tag_resource = tag_resource
    Scaling.untag_resource = untag_resource
    TableBuckets.get_table_bucket_maintenance_configuration = get_maintenance
    TableBuckets.put_table_bucket_maintenance_configuration = put_maintenance
    TableBuckets.get_table_bucket_encryption = get_encryption
    TableBuckets.put_table_bucket_encryption = put_encryption
    LambdaFunction.__init__ = lambda_init
    LambdaFunction.get_configuration = lambda_configuration
    Containers.create_service = create_service
    AthenaResponse.delete_named_query = delete_named_query
