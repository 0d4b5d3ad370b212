//! The same requests at npm's oidc-provider: one process, everything in memory.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::drive::{Load, Repeat};
use crate::endpoints::Rates;
use crate::flow::text;
use crate::options::Options;
use crate::report;
use crate::wire::{basic, form, request};

struct Oracle {
    process: Child,
    facts: Value,
}

impl Oracle {
    fn start() -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/oracle");
        if !folder.join("node_modules").is_dir() {
            return None;
        }
        let mut process = Command::new("node")
            .arg("server.mjs")
            .current_dir(folder)
            .env("NODE_ENV", "production")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let output = BufReader::new(process.stdout.take()?);
        let facts = output
            .lines()
            .map_while(Result::ok)
            .find_map(|line| serde_json::from_str(&line).ok());
        let Some(facts) = facts else {
            let _ = process.kill();
            let _ = process.wait();
            return None;
        };
        Some(Self { process, facts })
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub async fn run(options: &Options, ours: &Rates) {
    report::section("The same requests at oidc-provider 7.14.3 (one process, in memory)");
    let Some(oracle) = Oracle::start() else {
        report::fact("left out", "it is not installed; `make bench` installs it");
        return;
    };
    let facts = &oracle.facts;
    let port: u16 = text(&facts["issuer"])
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok())
        .expect("a port");
    let authorization = basic(text(&facts["client_id"]), text(&facts["client_secret"]));
    let post = |target: &str, pairs: &[(&str, &str)]| {
        let headers = [("authorization", authorization.as_str())];
        request("POST", port, target, &headers, &form(pairs))
    };
    let grant = ("grant_type", "client_credentials");
    let scope = ("scope", "api:read");
    let audience = |number: usize| ("resource", text(&facts["audiences"][number]));
    let introspect = |token: &str| post("/token/introspection", &[("token", text(&facts[token]))]);
    let bearer = format!("Bearer {}", text(&facts["userToken"]));
    let token = "access_token";
    let rows = [
        (
            "client_credentials opaque",
            post("/token", &[grant, scope]),
            token,
            Some(2.0),
        ),
        (
            "client_credentials RS256",
            post("/token", &[grant, scope, audience(0)]),
            token,
            Some(1.3),
        ),
        (
            "client_credentials ES256",
            post("/token", &[grant, scope, audience(1)]),
            token,
            None,
        ),
        (
            "introspection of a client's token",
            introspect("serviceToken"),
            "\"active\":true",
            None,
        ),
        (
            "introspection of a user's token",
            introspect("userToken"),
            "\"active\":true",
            None,
        ),
        (
            "userinfo",
            request("GET", port, "/me", &[("authorization", &bearer)], ""),
            "sub",
            None,
        ),
    ];
    for (name, request, holds, least) in rows {
        let load = Load {
            port,
            pid: oracle.process.id(),
            connections: options.connections,
            each: options.scaled(100),
        };
        let work = Repeat::one(request, holds);
        // its engine compiles what runs often, and shall have done so
        load.run(|_| work.clone()).await;
        let outcome = load.run(|_| work.clone()).await;
        report::row(name, outcome);
        if let Some(rate) = ours.get(name) {
            let aim = if least == Some(2.0) {
                ", the aim is 5"
            } else {
                ""
            };
            report::ratio(
                &format!("it is what the server does{aim}"),
                rate / outcome.per_second,
                least,
            );
        }
    }
}
