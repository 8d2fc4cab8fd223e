# Environments, image, other architectures: the targets; what they do is in tools/.
.PHONY: env-up env-plan env-down env-output env-unlock deploy init image lambda-zip lambda-arm64 test-infra test-env test-image test-arm64
ENV ?=

env-up: deps ## all of an environment (ENV=dev, staging, prod, small, huge; local: on this machine)
	@$(MAKE) --no-print-directory $(B)/inlet
	@tools/env.sh up $(ENV)

env-plan: ## what env-up would change (ENV=...)
	@tools/env.sh plan $(ENV)

env-down: ## take an environment away; asks where it is protected (ENV=...)
	@tools/env.sh down $(ENV)

env-output: ## where its stream, lake, catalog and logs are (ENV=...)
	@tools/env.sh output $(ENV)

env-unlock: ## take away the state's lock of a run that is dead; says whose it is, and asks (ENV=...)
	@tools/env.sh unlock $(ENV)

deploy: deps ## build the image of this source, push it, and replace the tasks without a gap (ENV=...)
	@tools/env.sh deploy $(ENV)

init: $(B)/inlet ## the data structures of an environment: tables known beforehand, dead letters (ENV=...)
	@tools/env.sh init $(ENV)

image: ## the container image inlet:dev, by docker or buildah (PLATFORM=linux/arm64)
	@tools/image.sh build inlet:dev $(PLATFORM)

ARCH ?= arm64
lambda-zip: deps ## build/lambda-ARCH.zip: the program and its libraries, for Lambda (ARCH=arm64 or x86_64)
	@tools/lambda_zip.sh $(ARCH)

lambda-arm64: deps ## the same for arm64: what the module lambda deploys
	@tools/lambda_zip.sh arm64

test-infra: deps ## Terraform against mocks, its plans against the policies
	@build/venv/bin/python -m pytest -q -p no:cacheprovider tests/infra

test-env: deps ## make env-up ENV=local, events through it into the lake, env-down; some five minutes
	@$(MAKE) --no-print-directory $(B)/inlet
	@INLET=$(abspath $(B)/inlet) build/venv/bin/python -m pytest -q -p no:cacheprovider tests/infra/local_env.py

test-image: deps ## build and run the image, or the same steps where there is no container engine
	@tools/test_image.sh

test-arm64: ## cross-build for arm64, the unit tests under qemu
	@tools/cross.sh arm64 test
