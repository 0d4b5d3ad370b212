//! Ten minutes of everything at once: whoever waits is answered, and nothing stays behind.

use futures_util::StreamExt;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinHandle;
use ueauth_actors::{ActorError, Answer, ChallengeId, Challenges, Clock, Millis, Outcome, Status};

use crate::world::{SECOND, World, challenge, run};

const LENGTH: Millis = 600 * SECOND;
const STEP: Millis = 100;
const GROUPS: usize = 5;

/// Somebody who asks again whenever a keeper had to be restarted, as the server does.
async fn wait(
    challenges: Challenges,
    id: ChallengeId,
    clock: std::sync::Arc<dyn Clock>,
    until: Millis,
    by_socket: bool,
) -> Result<Status, ActorError> {
    loop {
        let got = if by_socket {
            match challenges.subscribe(&id).await {
                Ok(mut results) => results.next().await.unwrap_or(Err(ActorError::Restarted)),
                Err(e) => Err(e),
            }
        } else {
            challenges.wait(&id, until).await
        };
        match got {
            Ok(status) => return Ok(status),
            Err(ActorError::Restarted | ActorError::Busy { .. } | ActorError::Journal(_)) => {
                clock.sleep_until(clock.now() + 200).await;
            }
            Err(other) => return Err(other),
        }
    }
}

struct Waiting {
    id: ChallengeId,
    group: String,
    task: JoinHandle<Result<Status, ActorError>>,
}

#[test]
fn nothing_is_lost_and_nothing_stays_behind() {
    run(async {
        let seed = rand::rng().random();
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let world = World::new();
        let nodes = [world.node().await, world.node().await];
        let end = world.now() + LENGTH;
        let mut issued: Vec<(String, ChallengeId)> = Vec::new();
        let mut waiting: Vec<Waiting> = Vec::new();
        let mut decided = std::collections::HashMap::new();
        let (mut number, mut applied, mut left) = (0, 0, 0);
        while world.now() < end {
            world.until(world.now() + STEP).await;
            // a new question, and people who wait for the answer on any node
            let group = format!("g{}", random.random_range(0..GROUPS));
            number += 1;
            let id = ChallengeId::new(format!("k{number}"), format!("a{number}"), "u");
            let deadline = world.now() + random.random_range(5 * SECOND..60 * SECOND);
            let asker = &nodes[random.random_range(0..2)];
            let new = challenge(id.clone(), deadline);
            if asker.challenges(&group).issue(new).await.is_ok() {
                for _ in 0..random.random_range(1..5) {
                    let challenges = nodes[random.random_range(0..2)].challenges(&group);
                    let clock: std::sync::Arc<dyn Clock> = world.clock.clone();
                    let until = world.now() + random.random_range(SECOND..90 * SECOND);
                    let by_socket = random.random_bool(0.5);
                    waiting.push(Waiting {
                        id: id.clone(),
                        group: group.clone(),
                        task: tokio::spawn(wait(challenges, id.clone(), clock, until, by_socket)),
                    });
                }
                issued.push((group, id));
            }
            // some are answered, now and then on both nodes
            while random.random_bool(0.5) && !issued.is_empty() {
                let (group, id) = issued.swap_remove(random.random_range(0..issued.len()));
                let answer = if random.random_bool(0.7) {
                    Answer::Approve
                } else {
                    Answer::Deny
                };
                let mut told = 0;
                let first = random.random_range(0..2);
                let both = random.random_bool(0.2);
                for node in [&nodes[first], &nodes[1 - first]]
                    .into_iter()
                    .take(1 + usize::from(both))
                {
                    match node.challenges(&group).answer(&id, answer, "phone").await {
                        Ok(Outcome::Applied(challenge)) => {
                            told += 1;
                            decided
                                .insert((group.clone(), id.clone()), Status::from(challenge.state));
                        }
                        Ok(_) => {}
                        // the journal may have taken it all the same
                        Err(_) => break,
                    }
                }
                assert!(told <= 1, "applied twice");
                applied += told;
            }
            // some of those who wait go away
            if random.random_bool(0.2) && !waiting.is_empty() {
                let gone = waiting.swap_remove(random.random_range(0..waiting.len()));
                gone.task.abort();
                left += 1;
            }
            match random.random_range(0..400) {
                0 | 1 => world.challenges.panic_next(1),
                2 => world.bus.cut(),
                3..=5 => world.bus.mend(),
                6 => world.bus.gap(),
                7 => world.bus.hang_up(),
                8 => world.challenges.set_down(true),
                9..=14 => world.challenges.set_down(false),
                _ => {}
            }
        }
        world.challenges.panic_next(0);
        world.challenges.set_down(false);
        world.bus.mend();
        assert!(
            number > 5_000 && applied > 500 && left > 500,
            "{number} {applied} {left}"
        );
        // longer than any challenge and any wait
        world.until(world.now() + 300 * SECOND).await;
        for one in waiting {
            assert!(one.task.is_finished(), "{:?} is still waited for", one.id);
            let got = one.task.await.unwrap().unwrap();
            if let Some(status) = decided.get(&(one.group, one.id)) {
                // an answer, or the end of a wait before it
                assert!(
                    got == *status || got == Status::Pending,
                    "{got:?} is not {status:?}"
                );
            } else {
                assert_ne!(got, Status::Unknown);
            }
        }
        for node in &nodes {
            let counters = node.counters();
            let left = (
                counters.waiters,
                counters.subscriptions,
                counters.pending_challenges,
            );
            assert_eq!(left, (0, 0, 0));
        }
    });
}
