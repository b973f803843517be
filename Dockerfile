# orderflow: one static binary and nothing else.
#
#   docker build --build-arg VERSION="$(git describe --tags --always)" -t orderflow .
ARG GO_VERSION=1.26.8

FROM golang:${GO_VERSION}-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/orderflow ./cmd/orderflow \
    && mkdir /out/data

FROM scratch
# For partners, identity providers and collectors that are reached by https.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/orderflow /orderflow
# Volumes that are mounted here first take over its owner.
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
# Every option is a flag with a variable, and this is --http: of the service, and of its health check.
ENV ORDERFLOW_HTTP=0.0.0.0:8080 ORDERFLOW_DATA=/data
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=6 CMD ["/orderflow", "healthcheck"]
ENTRYPOINT ["/orderflow"]
