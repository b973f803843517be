# orderflow: one static binary and nothing else.
#
#   docker build --build-arg VERSION="$(git describe --tags --always)" -t orderflow .
ARG GO_VERSION=1.26.8

# It compiles on the platform that builds for the one that is asked for (docker buildx build --platform). A builder that does not
# know these variables builds for its own.
FROM --platform=${BUILDPLATFORM:-linux} golang:${GO_VERSION}-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
ARG TARGETOS
ARG TARGETARCH
RUN CGO_ENABLED=0 GOOS=${TARGETOS} GOARCH=${TARGETARCH} go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/orderflow ./cmd/orderflow \
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
