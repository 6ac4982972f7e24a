#!/bin/bash
#
# usage: shop.sh start | stop
#
# The shop of conf/shop.conf under .run/: PostgreSQL and Redis on unix sockets,
# nginx on 127.0.0.1:$PORT.  "start" uses again what runs already and restarts
# nginx, for a new build; "stop" stops these three and nothing else.

cd "$(dirname "$0")/../.." || exit 1

root=$PWD
port=${PORT:-8000}
bin=/usr/lib/postgresql/15/bin

unset "${!PG@}"
export LC_ALL=C.UTF-8


fail() {
    echo "$*" >&2
    exit 1
}


# PostgreSQL refuses to run as root: then all three run as its user, or as the
# user who made .run

if [ "$(id -u)" -eq 0 ]; then
    user=$(stat -Lc %U .run 2> /dev/null)
    [[ $user != "" && $user != root && $user != UNKNOWN ]] || user=postgres
    as=(setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups)
else
    user=$(id -un)
    as=()
fi


# .run itself, or a link when that user cannot reach the tree

make_home() {
    if [ ! -e .run ]; then
        mkdir -m 700 .run && chown "$user" .run || exit 1

        if ! "${as[@]}" test -w "$root/.run"; then
            rmdir .run
            ln -s "$("${as[@]}" mktemp -d /var/tmp/ngx_dataflow-XXXXXX)" .run
        fi
    fi

    home=$(cd .run && pwd -P) && "${as[@]}" test -w "$home" \
        || fail "$user cannot write in .run: whose is it?"

    # this directory may be closed to that user
    as=(env -C "$home" "${as[@]}")
}


# a socket's path has room for 107 bytes, and conninfo is spared any quoting

make_sockets() {
    sock=$(cat "$home/sockets" 2>/dev/null)

    if [ ! -d "$sock" ]; then
        sock=$home

        if [ ${#sock} -gt 85 ] || [[ $sock == *[!A-Za-z0-9/._-]* ]]; then
            sock=$("${as[@]}" mktemp -d "/tmp/ngx_dataflow-XXXXXX") || exit 1
        fi

        echo "$sock" > "$home/sockets"
    fi
}


postgres_runs() {
    "${as[@]}" "$bin/pg_ctl" -D "$home/postgres" status > /dev/null 2>&1
}


postgres_start() {
    if [ ! -d "$home/postgres" ]; then
        echo "creating a PostgreSQL cluster in .run/postgres"

        rm -rf "$home/postgres.new"
        "${as[@]}" "$bin/initdb" -D "$home/postgres.new" -U shop -A trust \
            -E UTF8 --locale=C.UTF-8 > "$home/initdb.log" 2>&1 \
            || fail "initdb failed: see .run/initdb.log"
        mv "$home/postgres.new" "$home/postgres"
    fi

    postgres_runs || "${as[@]}" "$bin/pg_ctl" -D "$home/postgres" -s -w \
        -l "$home/postgres.log" start \
        -o "-k '$sock' -c listen_addresses= -c wal_level=logical" \
        || fail "PostgreSQL does not start: see .run/postgres.log"

    "${as[@]}" "$bin/createdb" -h "$sock" -U shop shop 2> /dev/null

    "${as[@]}" "$bin/psql" -X -h "$sock" -U shop -c '' shop \
        || fail "no database: see .run/postgres.log"
}


postgres_stop() {
    postgres_runs || return 0
    "${as[@]}" "$bin/pg_ctl" -D "$home/postgres" -s -w -m fast stop
}


redis() {
    "${as[@]}" redis-cli -s "$sock/redis.sock" "$@" 2> /dev/null
}


redis_start() {
    [ "$(redis ping)" = PONG ] || "${as[@]}" redis-server --port 0 \
        --unixsocket "$sock/redis.sock" --unixsocketperm 700 \
        --daemonize yes --pidfile "$home/redis.pid" --dir "$home" \
        --logfile "$home/redis.log" --save '' > /dev/null \
        || fail "Redis does not start: see .run/redis.log"
}


redis_stop() {
    redis shutdown nosave > /dev/null
}


nginx_pid() {
    local pid

    pid=$(cat "$home/nginx/nginx.pid" 2> /dev/null) \
        && grep -aqF "$home/nginx" "/proc/$pid/cmdline" 2> /dev/null \
        && echo "$pid"
}


nginx_stop() {
    local pid i signal

    pid=$(nginx_pid) || return 0

    for signal in QUIT TERM KILL; do
        kill -$signal "$pid" 2> /dev/null

        for i in {1..50}; do
            kill -0 "$pid" 2> /dev/null || return 0
            sleep 0.1
        done
    done
}


# conf/shop.conf with this directory's socket and port

nginx_configure() {
    mkdir -p "$home/nginx"
    ln -sfn "$root/build" "$home/nginx/modules"

    sed -e "s|host=/run/postgresql|host=$sock|" \
        -e "s|listen 127.0.0.1:8000|listen 127.0.0.1:$port|" \
        -e 's|^http {|&\n    include local.conf;|' \
        conf/shop.conf > "$home/nginx/nginx.conf"

    cat > "$home/nginx/local.conf" <<CONF
access_log            access.log;
client_body_temp_path body;
proxy_temp_path       proxy;
fastcgi_temp_path     fastcgi;
uwsgi_temp_path       uwsgi;
scgi_temp_path        scgi;
CONF
}


# before anything is stopped; our own nginx may have the port

port_check() {
    if nginx_pid > /dev/null \
        && grep -qs "listen 127.0.0.1:$port;" "$home/nginx/nginx.conf"
    then
        return 0
    fi

    if (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then
        fail "Port $port is taken; choose another one: make run PORT=8001"
    fi
}


nginx_start() {
    local globals="pid nginx.pid; error_log error.log notice;"

    [ "$(id -u)" -ne 0 ] || globals+=" user $user $(id -gn "$user");"

    nginx=$(PATH=$PATH:/usr/sbin command -v nginx) \
        || fail "nginx is not installed"

    "$nginx" -p "$home/nginx/" -e error.log -c nginx.conf -g "$globals" \
        || fail "nginx does not start: see .run/nginx/error.log"
}


# ready means that the tables are there as well

nginx_wait() {
    local i health

    for i in {1..150}; do
        health=$(curl -s "http://127.0.0.1:$port/health")
        [[ $health != *'"migration":{"state":"done"'* ]] || return 0
        sleep 0.2
    done

    echo "$health" >&2
    fail "the shop is not ready: see .run/nginx/error.log"
}


fill() {
    local psql=("${as[@]}" "$bin/psql" -X -h "$sock" -U shop -qAt shop)

    [ "$("${psql[@]}" -c 'SELECT EXISTS (SELECT FROM products)')" = f ] \
        || return 0

    "${psql[@]}" < conf/shop.sql \
        || fail "the sample data does not fit the tables"
}


start() {
    make_home
    port_check
    make_sockets
    postgres_start
    redis_start
    nginx_stop
    nginx_configure
    nginx_start
    nginx_wait
    fill

    local url=http://127.0.0.1:$port/api

    local where="where=total > 2500 and customer.tier = 'vip'"
    local value='aggregate=sum(price * stock) as value'

    local order='{"customer_id":7,"total":"188.99"'
    order+=',"items":[{"product_id":57,"quantity":1}]}'

    local bulk='{"operation":"update","filter":{"stock":{"$lt":10}}'
    bulk+=',"set":{"stock":{"$inc":50}},"dry_run":true}'

    cat <<TEXT

The shop runs on http://127.0.0.1:$port, its files are in .run/. Try:

  a filter     curl '$url/products?category=audio&price__lt=100&sort=-price'

  a condition  curl -G $url/orders --data-urlencode "$where"

  relations    curl '$url/orders/800?include=customer,order_items.product'

  sums         curl -G $url/products/aggregate -d group_by=category \\
                   --data-urlencode '$value'

  a report     curl '$url/analytics/products/sales-by-category?since=2026-01-01'

  a dashboard  curl $url/analytics/dashboard

  a record     curl --json '$order' \\
                   $url/orders

  many         curl --json '$bulk' \\
                   $url/products/bulk

  as CSV       curl -H 'Accept: text/csv' '$url/orders?limit=all'

"make stop" ends it.
TEXT
}


stop() {
    [ -e .run ] || return 0

    make_home
    sock=$(cat "$home/sockets" 2> /dev/null)

    nginx_stop
    redis_stop
    postgres_stop

    if [ -n "$sock" ] && [ "$sock" != "$home" ]; then
        rmdir "$sock" 2> /dev/null
    fi

    rm -f "$home/sockets"
}


case $1 in
    start | stop)  $1 ;;
    *)             fail "usage: $0 start | stop" ;;
esac
