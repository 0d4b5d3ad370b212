# One binary in a small image, not run as root.
FROM rust:1-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake clang && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
RUN cargo build --release --locked --bin ueauth

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 ueauth && install -d -o ueauth -g ueauth /data
COPY --from=build /build/target/release/ueauth /usr/local/bin/ueauth
USER ueauth
VOLUME /data
ENV UEAUTH_STORE__URL=sqlite:/data/ueauth.db
EXPOSE 3000
ENTRYPOINT ["/usr/local/bin/ueauth"]
CMD ["serve"]
