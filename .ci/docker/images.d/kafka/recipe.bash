# The stand-in for apache/kafka: its jars as Maven has them, and a Java runtime with only the
# modules that they use, linked from a JDK (the distribution's, where there is none).
# shellcheck shell=bash
# shellcheck disable=SC2154 # here and work are the caller's

modules=java.base,java.desktop,java.instrument,java.logging,java.management,java.management.rmi
modules+=,java.naming,java.security.jgss,java.security.sasl,java.sql,java.xml,jdk.crypto.ec
modules+=,jdk.jcmd,jdk.management,jdk.unsupported,jdk.zipfs

version() { echo "$tag"; }

fill() {
  local root=$1
  tag=$2
  need jlink openjdk-17-jdk-headless
  need mvn maven
  rootfs "$root" libstdc++6 zlib1g
  user "$root" appuser 1000 /home/appuser
  jars "$root/opt/kafka/libs"
  quietly jlink --add-modules "$modules" --strip-java-debug-attributes --no-header-files \
    --no-man-pages --output "$root/opt/java"
  settings "$root"
}

# need COMMAND PACKAGE: the one tool that a recipe runs on this machine itself.
need() {
  if command -v "$1" >/dev/null; then return; fi
  quietly env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$2"
}

jars() {
  local plugin=org.apache.maven.plugins:maven-dependency-plugin:3.6.1
  quietly mvn --batch-mode --file "$here/images.d/kafka/pom.xml" "-Dkafka.version=$tag" \
    "-Dmaven.repo.local=$work/maven" "$plugin:copy-dependencies" -DincludeScope=runtime \
    "-DoutputDirectory=$1"
  rm -rf "$work/maven"
}

settings() {
  local root=$1 name
  install -d -o 1000 -g 1000 "$root"/{opt/kafka/config,mnt/shared/config,var/lib/kafka/data} \
    "$root/etc/kafka/secrets"
  for name in server.properties log4j.properties; do
    install -D -m 644 "$here/images.d/kafka/$name" "$root/etc/kafka/docker/$name"
  done
  entry "$here/images.d/kafka/run" "$root" /etc/kafka/docker/run
  entry "$here/images.d/kafka/archive" "$root" /etc/kafka/docker/archive
  entry "$here/images.d/kafka/entrypoint" "$root" /__cacert_entrypoint.sh
}
