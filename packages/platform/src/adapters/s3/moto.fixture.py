"""moto, a server of the S3 protocol that checks signatures. Its first line says where it is and what it takes, as JSON."""

import json
import sys

from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
from moto.s3.models import s3_backends

BUCKET, REGION, USER = "plimsoll-test", "us-east-1", "plimsoll"

iam = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
iam.create_user(REGION, USER)
key = iam.create_access_key(USER)
allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
iam.put_user_policy(USER, "s3", json.dumps({"Version": "2012-10-17", "Statement": [allowed]}))
s3_backends[DEFAULT_ACCOUNT_ID]["aws"].create_bucket(BUCKET, REGION)

server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
server.start()
place = {
    "endpoint": "http://127.0.0.1:%d" % server.get_host_and_port()[1],
    "bucket": BUCKET,
    "region": REGION,
    "credentials": {"accessKeyId": key.access_key_id, "secretAccessKey": key.secret_access_key},
}
print(json.dumps(place), flush=True)
sys.stdin.read()  # until whoever started this lets go of it, or dies
