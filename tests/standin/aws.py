"""A local AWS for tests: moto's server with what moto leaves out and this program depends on.

    python aws.py -H 127.0.0.1 -p PORT

What each part adds is said, and tested (tests/e2e/test_standin.py), beside it: kinesis_gaps, cbor_gaps, glue_gaps,
s3_gaps, control_gaps, terraform_gaps. faults.py is a proxy to put in front of it, or of any other HTTP service."""
import werkzeug.serving

import cbor_gaps
import control_gaps
import glue_gaps
import kinesis_gaps
import s3_gaps
import terraform_gaps

# moto answers "Connection: close" otherwise
werkzeug.serving.WSGIRequestHandler.protocol_version = "HTTP/1.1"

for part in (kinesis_gaps, cbor_gaps, glue_gaps, s3_gaps, control_gaps, terraform_gaps):
    part.close()

if __name__ == "__main__":
    from moto.server import main
    main()
