#!/usr/bin/env bash
# The environments: env.sh up|plan|down|output|deploy|init|unlock ENV, called by the Makefile (make env-up ENV=dev).
# ENV=local is the same with a stand-in for AWS on this machine, and the program started here (env_local.py).
set -euo pipefail
cd "$(dirname "$0")/.."
verb=${1:?} env=${2:-}
die() { echo "env: $*" >&2; exit 1; }
say() { printf '== %s\n' "$*"; }
python=build/venv/bin/python
project=${PROJECT:-inlet}

# ---- what must be there

known=; for f in infra/environments/*.tfvars; do f=${f##*/}; known+="${f%.tfvars} "; done
[ -n "$env" ] || die "which environment? ENV=one of: $known"
vars=infra/environments/$env.tfvars
if [[ ! $env =~ ^[a-z][a-z0-9]*$ || ! -f $vars ]]; then die "there is no environment '$env': ENV=one of: $known(infra/environments)"; fi
# As infra/variables.tf has it: names become part of others that AWS limits. Said here, before anything is asked or made.
[[ $env =~ ^[a-z][a-z0-9]{1,11}$ ]] || die "an environment's name is 2 to 12 of a-z and 0-9: '$env' is not"
if [[ ! $project =~ ^[a-z][a-z0-9-]{1,14}[a-z0-9]$ || $project == *--* ]]; then
  die "PROJECT is 3 to 16 of a-z, 0-9 and single '-', beginning with a letter: '$project' is not"
fi
command -v terraform >/dev/null || die "Terraform 1.11 or newer is needed; see https://developer.hashicorp.com/terraform/install"
tf_version=$(terraform version 2>/dev/null | sed -nE '1s/^Terraform v([0-9]+\.[0-9]+).*/\1/p')
[ "$(printf '%s\n1.11\n' "$tf_version" | sort -V | head -1)" = 1.11 ] || die "Terraform 1.11 or newer is needed, this is $tf_version"
[ -x $python ] || die "run 'make deps' first"
setting() { sed -nE "s/^$1 *= *\"?([^\"#]*[^\"# ])\"?.*/\1/p" "$vars"; }
work=$PWD/build/env/$env; mkdir -p "$work"
error=$work/error.$$; trap 'rm -f "$error"' EXIT # its own: two at once must not write into one file
export TF_DATA_DIR=$work/terraform TF_IN_AUTOMATION=1 CHECKPOINT_DISABLE=1
protected=$(setting deletion_protection)
consumer=$(setting consumer); consumer=${consumer:-worker}
platform=linux/$(setting architecture); [ "$platform" != linux/ ] || platform=linux/arm64

# A folder with the provider, for machines that cannot download it.
if [ -n "${TF_PLUGIN_DIR:-}" ]; then
  printf 'provider_installation {\n  filesystem_mirror {\n    path = "%s"\n  }\n}\n' "$TF_PLUGIN_DIR" >"$work/terraformrc"
  export TF_CLI_CONFIG_FILE=$work/terraformrc
fi

if [ "$env" = local ]; then
  unset AWS_PROFILE AWS_SESSION_TOKEN AWS_CA_BUNDLE
  endpoint=$($python tools/env_local.py "$([ "$verb" = up ] && echo standin || echo endpoint)") || exit 1
  export AWS_ENDPOINT_URL=$endpoint AWS_REGION=eu-west-1 AWS_DEFAULT_REGION=eu-west-1 AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local
fi
region=$(setting region); [ -z "$region" ] || export AWS_REGION=$region AWS_DEFAULT_REGION=$region
[ -n "${AWS_DEFAULT_REGION:-}" ] || [ -z "${AWS_REGION:-}" ] || export AWS_DEFAULT_REGION=$AWS_REGION
who=$($python tools/aws.py whoami 2>"$error") || die "$(cat "$error")"
read -r account region <<<"$who"
[ "$region" != None ] || die "no AWS region: set AWS_REGION, for example AWS_REGION=eu-west-1"
export AWS_REGION=$region AWS_DEFAULT_REGION=$region

# ---- Terraform

tf() { terraform -chdir=infra "$@"; }
tf_vars=(-var-file="environments/$env.tfvars" -var "project=$project" -var "region=$region")
local_backend=(); [ "$(setting local)" != true ] || local_backend=(-backend-config=use_path_style=true)

quietly() { # the command's output only if it fails
  "$@" >"$work/log" 2>&1 || { tail -40 "$work/log" >&2; return 1; }
}

# What env-up would make in an account that has nothing yet, not even a place for the state: the same files over an empty one.
plan_from_nothing() {
  local new=$work/new
  rm -rf "$new"; cp -r infra "$new"; printf 'terraform {\n  backend "local" {}\n}\n' >"$new/override.tf"
  ( export TF_DATA_DIR=$work/new/data
    quietly terraform -chdir="$new" init -input=false
    terraform -chdir="$new" plan -input=false "${tf_vars[@]}" -var "lambda_zip=$PWD/build/lambda-arm64.zip" )
  rm -rf "$new"
  say "nothing of it is there yet: make env-up ENV=$env makes it, and before it a bucket for Terraform's state"
}

state_bucket() { # makes it where it is missing
  bucket=$project-tfstate-$account-$region
  local rc=0; $python tools/aws.py bucket "$bucket" 2>"$error" || rc=$?
  [ $rc -ne 1 ] || die "$(cat "$error")"
  [ $rc -ne 3 ] || [ "$verb" = up ] || [ "$verb" = plan ] || die "environment '$env' does not exist in account $account, $region: make env-up ENV=$env"
  if [ $rc -eq 3 ] && [ "$verb" = plan ]; then plan_from_nothing; exit 0; fi
  if [ $rc -ne 0 ] && [ "$verb" = up ]; then # 4: begun by a run that did not end
    say "the bucket for Terraform's state: $bucket"
    ( export TF_DATA_DIR=$work/bootstrap
      quietly terraform -chdir=infra/bootstrap init -input=false
      quietly terraform -chdir=infra/bootstrap apply -input=false -auto-approve -state="$work/bootstrap-$account-$region.tfstate" \
        -var "bucket=$bucket" -var "project=$project" -var "local=$([ "$(setting local)" = true ] && echo true || echo false)" \
        -var "adopt=$([ $rc -eq 4 ] && echo true || echo false)" )
  fi
}

open_state() {
  state_bucket
  quietly tf init -input=false -reconfigure -backend-config="bucket=$bucket" -backend-config="key=$env.tfstate" \
    -backend-config="region=$region" -backend-config=use_lockfile=true -backend-config=encrypt=true "${local_backend[@]}"
  case $verb in
    output | unlock) ;;
    *) ! locked || die "the state of '$env' is locked by $lock_who: wait for that run, or if it is dead: make env-unlock ENV=$env" ;;
  esac
  case $verb in
    output | init | down)
      [ -n "$(tf state list 2>/dev/null)" ] || die "environment '$env' does not exist in account $account, $region: make env-up ENV=$env" ;;
  esac
}

# Does somebody hold the state's lock: its id and who, since when?
locked() {
  local lock; lock=$($python tools/aws.py lock "$bucket" "$env.tfstate" 2>"$error") || return 1
  read -r lock_id lock_who <<<"$lock"
}

applied_tag() { tf output -raw image_tag 2>/dev/null | grep -E '^[A-Za-z0-9_.-]+$' || echo latest; }

# The tag names the source: the commit, and what is not committed.
source_tag() {
  local tag; tag=$(git rev-parse --short=12 HEAD)
  if [ -n "$(git status --porcelain -- src Makefile Dockerfile)" ]; then
    tag=$tag-$(git diff HEAD -- src Makefile Dockerfile | sha256sum | cut -c1-8)
  fi
  echo "$tag"
}

approval=(-auto-approve); [ "$protected" != true ] || [ -n "${YES:-}" ] || approval=()

image() { # built and pushed unless it is there
  tag=$(source_tag)
  [ "$consumer" = worker ] && [ "$env" != local ] || return 0
  local rc=0; $python tools/aws.py image "$project-$env" "$tag" 2>"$error" || rc=$?
  [ $rc -ne 1 ] || die "$(cat "$error")"
  [ $rc -eq 3 ] || { say "image $tag is there"; return 0; }
  tools/image.sh check 2>"$error" || die "$(cat "$error")"
  say "the image's repository"
  quietly tf apply -input=false -auto-approve "${tf_vars[@]}" -target='module.worker[0].aws_ecr_repository.this'
  say "image $tag, $platform"
  local registry=$account.dkr.ecr.$region.amazonaws.com
  case $region in cn-*) registry=$registry.cn ;; esac
  $python tools/aws.py registry-password | REGISTRY=$registry tools/image.sh push "$registry/$project-$env:$tag" "$platform"
}

apply() {
  [ "$consumer" != lambda ] || [ -f build/lambda-arm64.zip ] || make --no-print-directory lambda-arm64
  say "Terraform: $env in account $account, $region"
  if [ "$env" = local ]; then
    quietly tf apply -input=false "${approval[@]}" "${tf_vars[@]}" -var "image_tag=$tag" && tail -1 <(grep -E '^Apply complete' "$work/log")
  else
    tf apply -input=false "${approval[@]}" "${tf_vars[@]}" -var "image_tag=$tag"
  fi
}

structures() { # what `inlet init` makes: tables known beforehand, dead letters
  [ "$consumer" != none ] || { say "no consumer, no tables"; return 0; }
  inlet=${INLET:-build/inlet}
  [ -x "$inlet" ] || die "run 'make' first: $inlet makes the data structures"
  "$inlet" init --help >/dev/null 2>&1 || { say "this build has no 'inlet init': the worker makes the tables as events come"; return 0; }
  tf output -json environment >"$work/settings.json"
  say "the data structures"
  $python tools/env_local.py exec "$work/settings.json" "$inlet" init
}

case $verb in
  up)
    open_state; image; apply; structures
    [ "$env" != local ] || $python tools/env_local.py start
    [ "$env" = local ] || [ "$consumer" != worker ] || { say "waiting for the service"; $python tools/aws.py settle "$project-$env" inlet || exit 1; }
    say "ready: make env-output ENV=$env; make env-down ENV=$env takes it away" ;;
  deploy)
    [ "$env" != local ] || die "local runs build/inlet itself: make env-down ENV=local env-up ENV=local"
    open_state; image; apply
    [ "$consumer" != worker ] || { say "waiting for the service"; $python tools/aws.py settle "$project-$env" inlet || exit 1; } ;;
  plan) open_state; tf plan -input=false -detailed-exitcode "${tf_vars[@]}" -var "image_tag=$(applied_tag)" || { rc=$?; [ $rc -eq 2 ] || exit $rc; } ;;
  output) open_state; tf output ;;
  init) open_state; structures ;;
  unlock)
    open_state
    locked || die "the state of '$env' is not locked"
    echo "The state of '$env' in account $account, $region, is locked by $lock_who."
    [ -n "${YES:-}" ] || { read -r -p "If that run is dead, type yes to take its lock away: " answer || answer=; [ "$answer" = yes ] || die "nothing was changed"; }
    quietly tf force-unlock -force "$lock_id"
    say "unlocked: make env-up ENV=$env goes on" ;;
  down)
    if [ "$protected" = true ]; then
      echo "This deletes the environment '$env' in account $account, $region: the stream with what is in it, and the lake with all its versions."
      read -r -p "Type its name to go on: " answer || answer=
      [ "$answer" = "$env" ] || die "nothing was deleted"
    fi
    open_state
    [ "$env" != local ] || $python tools/env_local.py stop
    if [ "$protected" = true ]; then
      say "taking off the deletion protection"
      tf state list 2>/dev/null | grep '\.guard\[0\]$' | while read -r guard; do quietly tf state rm "$guard"; done
      quietly tf apply -input=false -auto-approve "${tf_vars[@]}" -var "image_tag=$(applied_tag)" -var deletion_protection=false
    fi
    say "Terraform: destroying $env"
    quietly tf destroy -input=false -auto-approve "${tf_vars[@]}" -var deletion_protection=false
    grep -E '^Destroy complete' "$work/log"
    [ "$env" != local ] || $python tools/env_local.py leave ;;
  *) die "what is '$verb'? up, plan, down, output, deploy, init or unlock" ;;
esac
