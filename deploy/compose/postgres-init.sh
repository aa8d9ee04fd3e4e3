#!/bin/sh
# Creates the database of Triptych and the role that owns it, which is not a superuser. The image of PostgreSQL runs this once, when its
# volume is empty. SECRETS, the directory of the password, is set by deploy/try_cluster.py only, which runs this without containers.
set -eu
psql --no-psqlrc --set ON_ERROR_STOP=1 --username postgres --dbname postgres \
    --set password="$(cat "${SECRETS:-/run/secrets}/database_password")" <<'SQL'
CREATE ROLE triptych LOGIN PASSWORD :'password';
CREATE DATABASE triptych OWNER triptych;
SQL
