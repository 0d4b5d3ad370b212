//! People who come, wait, and go away without a word, while answers arrive, challenges expire and the
//! server is killed: everybody is told the same, and nothing is left behind.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use ueauth::challenges::model::StoredChallenge;
use ueauth::store::Store as Documents;
use ueauth_actors::{Challenge, ChallengeId, Clock, State, SystemClock};

use crate::answer::{send, to};
use crate::challenges::Scene;
use crate::holes::behind_its_back;
use crate::server::{Server, Store};
use crate::sockets::{all, open};

/// How long it takes unless `UEAUTH_TEST_SOAK_SECONDS` says otherwise.
const SECONDS: u64 = 8;
const PEOPLE: usize = 40;
/// Challenges for each second.
const EACH: u64 = 40;
/// Longest time (ms) somebody stays.
const STAY: u64 = 1_500;
/// What is counted of those who wait.
const COUNTERS: [&str; 4] = ["waiters", "subscriptions", "sockets", "pending_challenges"];

fn below(limit: u64) -> u64 {
    rand::random::<u64>() % limit
}

/// A challenge of many; all about it follows from its number.
#[derive(Clone, Copy)]
struct Asked(u64);

impl Asked {
    fn id(self) -> ChallengeId {
        let number = self.0;
        ChallengeId::new(
            format!("key-{number}"),
            format!("account-{number}"),
            format!("uid-{number}"),
        )
    }

    /// Known for longer than anybody asks.
    fn stored(self, group: &str, deadline: i64, keep_until: i64) -> StoredChallenge {
        let (id, now) = (self.id(), SystemClock.now());
        let challenge = Challenge {
            id,
            purpose: "custom".to_owned(),
            state: State::Pending,
            created_at: now,
            deadline,
            keep_until,
            decided_at: None,
            decided_by: None,
            data: json!({}),
        };
        StoredChallenge::of(group, &challenge, Some(keep_until)).expect("JSON")
    }
}

struct Soak {
    scene: Scene,
    challenges: u64,
    /// What was heard of each; nobody may hear anything else.
    ends: RefCell<HashMap<u64, String>>,
}

impl Soak {
    fn some(&self) -> Asked {
        Asked(below(self.challenges))
    }

    fn path(&self, one: Asked) -> String {
        let id = one.id();
        let of = format!(
            "mfa/{}/account/{}/interaction/{}/status",
            id.key, id.account, id.uid
        );
        self.scene.path(&of)
    }

    async fn at_a_socket(&self, stay: Duration) {
        let one = self.some();
        let mut socket = open(&self.scene.server, &self.path(one), None)
            .await
            .expect("a socket");
        // whoever leaves early drops the connection
        let Ok(said) = tokio::time::timeout(stay, all(&mut socket)).await else {
            return;
        };
        let said: Vec<&str> = said.iter().map(String::as_str).collect();
        let ([end, "1000", "end"] | ["pending", end, "1000", "end"]) = said[..] else {
            panic!("{said:?}");
        };
        assert!(["approved", "denied", "expired"].contains(&end), "{said:?}");
        let known = self
            .ends
            .borrow_mut()
            .entry(one.0)
            .or_insert_with(|| end.to_owned())
            .clone();
        assert_eq!(known, end);
    }

    async fn at_a_poll(&self, stay: Duration) {
        let path = format!("{}?wait={}", self.path(self.some()), 1 + below(3));
        let poll = send(to(&self.scene.server, Method::GET, &path));
        if let Ok(answer) = tokio::time::timeout(stay, poll).await {
            assert!(answer.status < 500, "{} {}", answer.status, answer.text);
        }
    }

    async fn person(&self, until: Instant) {
        while Instant::now() < until {
            let stay = Duration::from_millis(below(STAY));
            if below(3) == 0 {
                self.at_a_poll(stay).await;
            } else {
                self.at_a_socket(stay).await;
            }
        }
    }

    async fn device(&self, until: Instant) {
        while Instant::now() < until {
            let id = self.some().id();
            let details = json!({"uid": id.uid, "accountId": id.account});
            self.scene.provider.asks(&id.key, details);
            let button = i64::from(below(2) == 0);
            let answer = self.scene.press(&id.key, button).await;
            assert!(answer.status < 500, "{} {}", answer.status, answer.text);
            tokio::time::sleep(Duration::from_millis(below(100))).await;
        }
    }

    async fn half(&self, length: Duration) {
        let until = Instant::now() + length;
        let people = join_all((0..PEOPLE).map(|_| self.person(until)));
        tokio::join!(people, self.device(until), self.device(until));
    }

    async fn left(&self) -> Vec<String> {
        let metrics = send(to(&self.scene.server, Method::GET, "/metrics"))
            .await
            .expect(200);
        let counted = metrics.text.lines().filter(|line| !line.starts_with('#'));
        let left = counted.filter(|line| {
            COUNTERS.iter().any(|name| line.contains(name)) && !line.ends_with(" 0")
        });
        left.map(ToOwned::to_owned).collect()
    }
}

#[tokio::test]
async fn nothing_is_left_of_those_who_came_and_went() {
    let asked = std::env::var("UEAUTH_TEST_SOAK_SECONDS").ok();
    let seconds = asked.map_or(SECONDS, |text| text.parse().expect("a number of seconds"));
    let settings = [
        ("limits.sockets_per_address", "1000"),
        ("limits.polls_per_address", "1000"),
    ];
    let Some(server) = Server::start_with(Store::Embedded, &settings).await else {
        return;
    };
    let mut scene = Scene::set(server).await;
    let group = scene.tenant.group.clone();
    let challenges = seconds * EACH;
    behind_its_back(&mut scene.server, async |store: &Documents| {
        let now = SystemClock.now();
        let after = |ms: u64| now + i64::try_from(ms).expect("a time");
        let documents: Vec<_> = (0..challenges)
            .map(|number| {
                let (deadline, end) = (
                    after(below(seconds * 1_000)),
                    after(seconds * 1_000 + 300_000),
                );
                Asked(number).stored(&group, deadline, end)
            })
            .collect();
        store.of().insert_many(&documents).await.expect("documents");
    })
    .await;
    let mut soak = Soak {
        scene,
        challenges,
        ends: RefCell::default(),
    };
    let half = Duration::from_millis(seconds * 500);
    soak.half(half).await;
    let path = soak.path(soak.some());
    let _held = open(&soak.scene.server, &path, None)
        .await
        .expect("a socket");
    soak.scene.server.restart().await;
    soak.half(half).await;

    let mut left = soak.left().await;
    for _ in 0..600 {
        if left.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        left = soak.left().await;
    }
    assert_eq!(left, Vec::<String>::new());
    assert!(!soak.ends.borrow().is_empty());
}
