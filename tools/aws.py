"""What tools/env.sh asks AWS itself, so that no aws command line is needed.

    aws.py whoami                    account and region
    aws.py bucket NAME               exit 0: ours, 3: there is none, 1: not to be used
    aws.py image REPOSITORY TAG      exit 0: pushed already, 3: not yet
    aws.py registry-password         for docker login (user AWS)
    aws.py settle CLUSTER SERVICE    waits until a deployment is done, or says why not
Trouble is one line on stderr."""
import base64
import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

MISSING = 3


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
    ecs.get_waiter("services_stable").wait(cluster=cluster, services=[service], WaiterConfig={"Delay": 10, "MaxAttempts": 60})
    found = ecs.describe_services(cluster=cluster, services=[service])["services"][0]
    if any(d.get("rolloutState") == "FAILED" for d in found["deployments"]):
        raise RuntimeError(f"the deployment failed and was rolled back: {found['events'][0]['message']}")


def main(name, *args):
    commands = {"whoami": whoami, "bucket": bucket, "image": image, "registry-password": registry_password, "settle": settle}
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
