# docker build --build-arg FLEETPUSH_COMMIT=$(git rev-parse --short=9 HEAD) --tag fleetpush .
FROM rust:1-slim-bookworm AS build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev
WORKDIR /source
COPY . .
ARG FLEETPUSH_COMMIT
RUN FLEETPUSH_COMMIT=$FLEETPUSH_COMMIT packaging/dist binary

FROM debian:bookworm-slim
# The certificates that the platform's is checked against.
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /source/target/dist/fleetpush /usr/local/bin/
# The user and the paths of samples/kubernetes.
USER 10001:10001
ENTRYPOINT ["fleetpush"]
