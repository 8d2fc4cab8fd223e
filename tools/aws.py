"""What tools/env.sh asks AWS itself, so that no aws command line is needed.

    aws.py whoami                    account and region
    aws.py bucket NAME               exit 0: ours, 3: there is none, 4: ours, but not finished, 1: not to be used
    aws.py lock BUCKET KEY           who holds the lock of that Terraform state: ID WHO; exit 3: nobody
    aws.py image REPOSITORY TAG      exit 0: pushed already, 3: not yet
    aws.py registry-password         for docker login (user AWS)
    aws.py settle CLUSTER SERVICE    waits until a deployment is done, or says why not
Trouble is one line on stderr."""
import base64
import json
import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError, WaiterError

MISSING, UNFINISHED = 3, 4


def whoami():
    session = boto3.Session()
    if not session.region_name:
        raise NoRegionError()
    account = session.client("sts").get_caller_identity()["Account"]
    print(account, session.region_name)


def bucket(name):
    try:
        boto3.client("s3").head_bucket(Bucket=name)
    except ClientError as e:
        if e.response["Error"]["Code"] in ("404", "NoSuchBucket"):
            sys.exit(MISSING)
        raise RuntimeError(f"the state bucket {name} may not be used: {e.response['Error']['Code']}; it exists in another "
                           "account, or s3:ListBucket is not allowed on it") from e


    s3 = boto3.client("s3")
    try:
        if s3.get_bucket_versioning(Bucket=name).get("Status") != "Enabled":
            sys.exit(UNFINISHED)
        s3.get_bucket_policy(Bucket=name)  # made last
    except ClientError as e:
        if e.response["Error"]["Code"] == "NoSuchBucketPolicy":
            sys.exit(UNFINISHED)
        # else we may not look, and somebody else made it


def lock(bucket, key):
    try:
        held = json.load(boto3.client("s3").get_object(Bucket=bucket, Key=f"{key}.tflock")["Body"])
    except ClientError as e:
        if e.response["Error"]["Code"] in ("404", "NoSuchKey", "NoSuchBucket"):
            sys.exit(MISSING)
        raise
    print(held["ID"], f"{held['Who']} since {held['Created'][:19]}Z ({held['Operation'].removeprefix('OperationType').lower()})")


def image(repository, tag):
    try:
        boto3.client("ecr").describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])
    except ClientError as e:
        if e.response["Error"]["Code"] in ("ImageNotFoundException", "RepositoryNotFoundException"):
            sys.exit(MISSING)
        raise


def registry_password():
    token = boto3.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    print(base64.b64decode(token).decode().split(":", 1)[1])


def settle(cluster, service):
    ecs = boto3.client("ecs")
    try:
        ecs.get_waiter("services_stable").wait(cluster=cluster, services=[service], WaiterConfig={"Delay": 10, "MaxAttempts": 60})
    except WaiterError:
        events = ecs.describe_services(cluster=cluster, services=[service])["services"][0]["events"]
        raise RuntimeError("the service does not run after ten minutes; ECS says: " + (events[0]["message"] if events else "nothing")) from None
    found = ecs.describe_services(cluster=cluster, services=[service])["services"][0]
    if any(d.get("rolloutState") == "FAILED" for d in found["deployments"]):
        raise RuntimeError(f"the deployment failed and was rolled back: {found['events'][0]['message']}")


def main(name, *args):
    commands = {"whoami": whoami, "bucket": bucket, "lock": lock, "image": image, "registry-password": registry_password, "settle": settle}
    try:
        commands[name](*args)
    except NoCredentialsError:
        sys.exit("no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    except NoRegionError:
        sys.exit("no AWS region: set AWS_REGION, for example AWS_REGION=eu-west-1")
    except (BotoCoreError, ClientError, RuntimeError) as e:
        sys.exit(" ".join(str(e).split()))


if __name__ == "__main__":
    main(*sys.argv[1:])
