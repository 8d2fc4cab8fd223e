"""What Terraform asks and moto leaves out: who is told of a budget's notification, a budget's tags, changes to an Athena
workgroup, the capacity providers of an ECS service (without them each plan would replace the service), and the key of a Lambda
function. And what it must not mind: a bucket policy that denies plain HTTP, for that is all a stand-in on 127.0.0.1 speaks
(moto takes such a statement without its condition, and denies everything)."""
import json

from moto.athena.responses import AthenaResponse
from moto.awslambda.models import LambdaFunction
from moto.budgets.models import Budget
from moto.budgets.responses import BudgetsResponse
from moto.ecs.responses import EC2ContainerServiceResponse as Containers
from moto.s3.models import FakeBucket

TAGS = {}  # a budget's ARN -> its tags


def same(a, b):
    return all(a[k] == b[k] for k in ("NotificationType", "ComparisonOperator", "Threshold"))


def describe_subscribers_for_notification(self):
    budget = self.backend.budgets[self._get_param("AccountId")].get(self._get_param("BudgetName"))
    wanted = self._get_param("Notification")
    told = [s for n in (budget.notifications if budget else []) if same(n.details, wanted) for s in n.subscribers]
    return json.dumps({"Subscribers": told})


def create_budget(self, original=BudgetsResponse.create_budget):
    answer = original(self)
    arn = f"arn:aws:budgets::{self._get_param('AccountId')}:budget/{self._get_param('Budget')['BudgetName']}"
    TAGS[arn] = {t["Key"]: t["Value"] for t in self._get_param("ResourceTags") or []}
    return answer


def list_tags_for_resource(self):
    tags = TAGS.get(self._get_param("ResourceARN"), {})
    return json.dumps({"ResourceTags": [{"Key": k, "Value": v} for k, v in tags.items()]})


def tag_resource(self):
    TAGS.setdefault(self._get_param("ResourceARN"), {}).update({t["Key"]: t["Value"] for t in self._get_param("ResourceTags")})
    return "{}"


def untag_resource(self):
    for key in self._get_param("ResourceTagKeys"):
        TAGS.get(self._get_param("ResourceARN"), {}).pop(key, None)
    return "{}"


def to_dict(self, original=Budget.to_dict):
    cost = original(self)
    cost.setdefault("CostFilters", {})
    return cost


def with_capacity_providers(create_service):
    def wrapped(self):
        answer = create_service(self)
        strategy = self._get_param("capacityProviderStrategy")
        if strategy:
            service = answer.result["service"]
            service.capacity_provider_strategy, service.launch_type = strategy, None
        return answer
    return wrapped


def with_key(init, get_configuration):
    def wrapped_init(self, account_id, spec, *args, **kw):
        init(self, account_id, spec, *args, **kw)
        self.key = spec.get("KMSKeyArn")

    def wrapped_get(self, *args, **kw):
        config = get_configuration(self, *args, **kw)
        if getattr(self, "key", None):
            config["KMSKeyArn"] = self.key
        return config
    return wrapped_init, wrapped_get


def update_work_group(self):
    group = self.athena_backend.work_groups[self._get_param("WorkGroup")]
    group.description = self._get_param("Description") or group.description
    group.state = self._get_param("State") or group.state
    updates = dict(self._get_param("ConfigurationUpdates") or {})
    result = updates.pop("ResultConfigurationUpdates", None)
    if result:
        updates["ResultConfiguration"] = {**(group.configuration.get("ResultConfiguration") or {}), **result}
    group.configuration.update(updates)
    return "{}"


TRANSPORT = {"aws:SecureTransport", "s3:TlsVersion"}


def about_transport(statement):
    keys = {key for test in statement.get("Condition", {}).values() for key in test}
    return statement["Effect"] == "Deny" and bool(keys) and keys <= TRANSPORT


def get_permission(self, action, resource, original=FakeBucket.get_permission):
    kept = self.policy
    if kept is None:
        return original(self, action, resource)
    policy = json.loads(kept)
    policy["Statement"] = [s for s in policy["Statement"] if not about_transport(s)]
    bucket = FakeBucket.__new__(FakeBucket)  # the check looks at nothing else of it
    bucket.policy = json.dumps(policy).encode()
    return original(bucket, action, resource)


def close():
    AthenaResponse.update_work_group = update_work_group
    FakeBucket.get_permission = get_permission
    LambdaFunction.__init__, LambdaFunction.get_configuration = with_key(LambdaFunction.__init__, LambdaFunction.get_configuration)
    Containers.create_service = with_capacity_providers(Containers.create_service)
    BudgetsResponse.describe_subscribers_for_notification = describe_subscribers_for_notification
    BudgetsResponse.create_budget = create_budget
    BudgetsResponse.list_tags_for_resource = list_tags_for_resource
    BudgetsResponse.tag_resource = tag_resource
    BudgetsResponse.untag_resource = untag_resource
    Budget.to_dict = to_dict
