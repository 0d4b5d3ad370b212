use std::{convert::Infallible, time::Duration};

use futures_util::{StreamExt, future::join_all};
use ueauth_actors::{Answer, Bus, Change, ConsumeError, Kind, Notice, Outcome, Record, Status};

use crate::world::{SECOND, START, Session, World, issued, run};

#[test]
fn of_many_answers_on_two_nodes_one_counts() {
    run(async {
        let world = World::new();
        let nodes = [world.node().await, world.node().await];
        let challenges = nodes.each_ref().map(|node| node.challenges("g"));
        let id = issued(&challenges[0], &world, 60).await;
        let answers = (0..64).map(|n| {
            let answer = if n % 3 == 0 {
                Answer::Deny
            } else {
                Answer::Approve
            };
            challenges[n % 2].answer(&id, answer, "phone")
        });
        let mut applied = Vec::new();
        let mut others = Vec::new();
        for outcome in join_all(answers).await {
            match outcome.unwrap() {
                Outcome::Applied(challenge) => applied.push(Status::from(challenge.state)),
                Outcome::AlreadyDecided(status) => others.push(status),
                Outcome::Unknown => panic!("lost"),
            }
        }
        assert_eq!(applied.len(), 1);
        assert_eq!(others, [applied[0]; 63]);
        for node in &challenges {
            assert_eq!(node.status(&id).await.unwrap(), applied[0]);
        }
    });
}

#[test]
fn of_many_consumers_on_two_nodes_one_wins() {
    run(async {
        let world = World::new();
        let nodes = [world.node().await, world.node().await];
        let challenges = nodes.each_ref().map(|node| node.challenges("g"));
        let id = issued(&challenges[0], &world, 60).await;
        challenges[1]
            .answer(&id, Answer::Approve, "p")
            .await
            .unwrap();
        let consumers = (0..64).map(|n| challenges[n % 2].consume(&id));
        let mut won = 0;
        for result in join_all(consumers).await {
            match result {
                Ok(_) => won += 1,
                Err(ConsumeError::NotApproved(status)) => assert_eq!(status, Status::Unknown),
                Err(ConsumeError::Actor(error)) => panic!("{error}"),
            }
        }
        assert_eq!(won, 1);
        world.settle().await;
        for node in &challenges {
            assert_eq!(node.status(&id).await.unwrap(), Status::Unknown);
        }
    });
}

#[test]
fn a_result_reaches_everybody_on_every_node_once() {
    run(async {
        let world = World::new();
        let nodes = [world.node().await, world.node().await, world.node().await];
        let challenges = nodes.each_ref().map(|node| node.challenges("g"));
        let id = issued(&challenges[0], &world, 60).await;
        let until = world.now() + 30 * SECOND;
        let mut waits = Vec::new();
        let mut subscriptions = Vec::new();
        for node in &challenges {
            for _ in 0..3 {
                let (node, id) = (node.clone(), id.clone());
                subscriptions.push(node.subscribe(&id).await.unwrap());
                waits.push(tokio::spawn(async move { node.wait(&id, until).await }));
            }
        }
        world.settle().await;
        let before = world.now();
        let loads = world.challenges.loads();
        challenges[2]
            .answer(&id, Answer::Approve, "p")
            .await
            .unwrap();
        for wait in waits {
            assert_eq!(wait.await.unwrap().unwrap(), Status::Approved);
        }
        for subscription in subscriptions {
            let got: Vec<_> = subscription.map(Result::unwrap).collect().await;
            assert_eq!(got, [Status::Approved]);
        }
        assert_eq!(world.now(), before, "nobody had to wait for a timer");
        assert_eq!(world.challenges.loads(), loads, "or to read");
        for node in &nodes {
            let counters = node.counters();
            assert_eq!((counters.waiters, counters.subscriptions), (0, 0));
            assert_eq!(counters.pending_challenges, 0);
        }
    });
}

#[test]
fn an_expiry_is_told_on_every_node() {
    run(async {
        let world = World::new();
        let nodes = [world.node().await, world.node().await];
        let challenges = nodes.each_ref().map(|node| node.challenges("g"));
        let id = issued(&challenges[0], &world, 60).await;
        let deadline = world.now() + 60 * SECOND;
        let mut notices = world.notices().await;
        let waits = join_all(
            challenges
                .iter()
                .map(|node| node.wait(&id, deadline + SECOND)),
        )
        .await;
        for status in waits {
            assert_eq!(status.unwrap(), Status::Expired);
        }
        assert_eq!(world.now(), deadline);
        notices.next().await.unwrap();
        world.settle().await;
        let more = futures_util::FutureExt::now_or_never(notices.next());
        assert!(more.is_none(), "announced once: {more:?}");
    });
}

#[test]
fn a_session_is_fresh_after_a_change_on_another_node() {
    run(async {
        let world = World::new();
        let nodes = [world.node().await, world.node().await];
        let sessions = nodes.each_ref().map(|node| node.sessions("g"));
        let new = Record::new("s", Session::default()).until(START + 60 * SECOND);
        sessions[0].create(new).await.unwrap();
        assert_eq!(sessions[1].get("s").await.unwrap().unwrap().visits, 0);
        sessions[0]
            .update("s", |session| {
                session.visits = 5;
                Ok::<_, Infallible>(())
            })
            .await
            .unwrap();
        world.settle().await;
        assert_eq!(sessions[1].get("s").await.unwrap().unwrap().visits, 5);
        sessions[1].remove("s").await.unwrap();
        world.settle().await;
        assert!(sessions[0].get("s").await.unwrap().is_none());
    });
}

#[test]
fn updates_on_two_nodes_are_not_lost() {
    run(async {
        let world = World::new();
        let nodes = [world.node().await, world.node().await];
        let sessions = nodes.each_ref().map(|node| node.sessions("g"));
        sessions[0]
            .create(Record::new("s", Session::default()))
            .await
            .unwrap();
        let updates = (0..64).map(|n| {
            sessions[n % 2].update("s", |session| {
                session.visits += 1;
                Ok::<_, Infallible>(())
            })
        });
        for updated in join_all(updates).await {
            updated.unwrap();
        }
        world.settle().await;
        for node in &sessions {
            assert_eq!(node.get("s").await.unwrap().unwrap().visits, 64);
        }
    });
}

#[test]
fn a_refusal_of_a_stale_copy_does_not_stand() {
    run(async {
        let world = World::new();
        let nodes = [world.node().await, world.node().await];
        let sessions = nodes.each_ref().map(|node| node.sessions("g"));
        sessions[0]
            .create(Record::new("s", Session::default()))
            .await
            .unwrap();
        assert!(sessions[1].get("s").await.unwrap().is_some());
        world.bus.lose(true);
        sessions[0]
            .update("s", |session| {
                session.visits = 1;
                Ok::<_, Infallible>(())
            })
            .await
            .unwrap();
        let result = sessions[1]
            .update("s", |session| match session.visits {
                0 => Err("not ready"),
                n => Ok(n),
            })
            .await;
        assert_eq!(result.unwrap(), 1);
    });
}

#[test]
fn an_interaction_is_taken_once_by_two_nodes() {
    run(async {
        let world = World::new();
        let nodes = [world.node().await, world.node().await];
        let interactions = nodes.each_ref().map(|node| node.interactions("g"));
        interactions[0].create(Record::new("i", 1)).await.unwrap();
        let takes = join_all((0..64).map(|n| interactions[n % 2].take("i"))).await;
        let taken = takes.into_iter().filter_map(Result::unwrap).count();
        assert_eq!(taken, 1);
    });
}

#[test]
fn with_the_bus_down_waiting_nodes_read_the_journal() {
    run(async {
        let world = World::new();
        let nodes = [world.node().await, world.node().await];
        let challenges = nodes.each_ref().map(|node| node.challenges("g"));
        let id = issued(&challenges[0], &world, 900).await;
        let until = world.now() + 800 * SECOND;
        let wait = {
            let (node, id) = (challenges[1].clone(), id.clone());
            tokio::spawn(async move { node.wait(&id, until).await })
        };
        world.settle().await;
        // As long as the bus is well nobody polls.
        let loads = world.challenges.loads();
        world.until(world.now() + 300 * SECOND).await;
        assert_eq!(world.challenges.loads(), loads);

        world.bus.cut();
        world.settle().await;
        let answered = world.now();
        challenges[0].answer(&id, Answer::Deny, "p").await.unwrap();
        assert_eq!(wait.await.unwrap().unwrap(), Status::Denied);
        assert!(world.now() <= answered + 2 * SECOND + 2);
        assert_eq!(challenges[1].status(&id).await.unwrap(), Status::Denied);

        world.bus.mend();
        world.settle().await;
        let loads = world.challenges.loads();
        tokio::time::sleep(Duration::from_mins(5)).await;
        assert_eq!(world.challenges.loads(), loads);
    });
}

#[test]
fn with_the_bus_down_no_copy_is_believed() {
    run(async {
        let world = World::new();
        let nodes = [world.node().await, world.node().await];
        let sessions = nodes.each_ref().map(|node| node.sessions("g"));
        let visits = async |node: usize| sessions[node].get("s").await.unwrap().unwrap().visits;
        let set = async |to: u32| {
            sessions[0]
                .update("s", move |session| {
                    session.visits = to;
                    Ok::<_, Infallible>(())
                })
                .await
                .unwrap();
        };
        sessions[0]
            .create(Record::new("s", Session::default()))
            .await
            .unwrap();
        assert_eq!(visits(1).await, 0);
        world.bus.cut();
        set(1).await;
        assert_eq!(visits(1).await, 1);
        set(2).await;
        assert_eq!(visits(1).await, 2);
        set(3).await;
        world.bus.mend();
        world.settle().await;
        assert_eq!(visits(1).await, 3);
        let loads = world.sessions.loads();
        assert_eq!(visits(1).await, 3);
        assert_eq!(world.sessions.loads(), loads, "copies are believed again");
    });
}

#[test]
fn a_lost_notice_only_delays() {
    run(async {
        let world = World::new();
        let nodes = [world.node().await, world.node().await];
        let challenges = nodes.each_ref().map(|node| node.challenges("g"));
        let id = issued(&challenges[0], &world, 900).await;
        let until = world.now() + 30 * SECOND;
        let wait = {
            let (node, id) = (challenges[1].clone(), id.clone());
            tokio::spawn(async move { node.wait(&id, until).await })
        };
        world.settle().await;
        world.bus.lose(true);
        challenges[0]
            .answer(&id, Answer::Approve, "p")
            .await
            .unwrap();
        assert_eq!(wait.await.unwrap().unwrap(), Status::Approved);
        assert_eq!(world.now(), until);
    });
}

#[test]
fn after_a_gap_everything_is_read_again() {
    run(async {
        let world = World::new();
        let nodes = [world.node().await, world.node().await];
        let challenges = nodes.each_ref().map(|node| node.challenges("g"));
        let sessions = nodes.each_ref().map(|node| node.sessions("g"));
        sessions[0]
            .create(Record::new("s", Session::default()))
            .await
            .unwrap();
        assert!(sessions[1].get("s").await.unwrap().is_some());
        let id = issued(&challenges[0], &world, 900).await;
        let mut subscription = challenges[1].subscribe(&id).await.unwrap();
        world.bus.lose(true);
        challenges[0].answer(&id, Answer::Deny, "p").await.unwrap();
        sessions[0].remove("s").await.unwrap();
        world.settle().await;
        assert!(sessions[1].get("s").await.unwrap().is_some());
        let before = world.now();
        world.bus.gap();
        assert_eq!(subscription.next().await.unwrap().unwrap(), Status::Denied);
        assert_eq!(world.now(), before);
        assert!(sessions[1].get("s").await.unwrap().is_none());
    });
}

#[test]
fn a_lost_subscription_is_like_a_bus_that_is_down() {
    run(async {
        let world = World::new();
        let nodes = [world.node().await, world.node().await];
        let challenges = nodes.each_ref().map(|node| node.challenges("g"));
        let sessions = nodes.each_ref().map(|node| node.sessions("g"));
        sessions[0]
            .create(Record::new("s", Session::default()))
            .await
            .unwrap();
        assert!(sessions[1].get("s").await.unwrap().is_some());
        let id = issued(&challenges[0], &world, 900).await;
        let mut subscription = challenges[1].subscribe(&id).await.unwrap();
        world.bus.hang_up();
        world.settle().await;
        // Read once more, so that there is a copy again that nobody will invalidate.
        assert!(sessions[1].get("s").await.unwrap().is_some());
        sessions[0].remove("s").await.unwrap();
        assert!(sessions[1].get("s").await.unwrap().is_none());
        let before = world.now();
        challenges[0].answer(&id, Answer::Deny, "p").await.unwrap();
        assert_eq!(subscription.next().await.unwrap().unwrap(), Status::Denied);
        assert!(world.now() <= before + 2 * SECOND);
    });
}

#[test]
fn a_flood_of_notices_hides_nothing() {
    run(async {
        let world = World::new();
        let mut config = World::config();
        config.mailbox = 16;
        let nodes = [world.node().await, world.node_with(config).await];
        let challenges = nodes.each_ref().map(|node| node.challenges("g"));
        let id = issued(&challenges[0], &world, 900).await;
        let mut subscription = challenges[1].subscribe(&id).await.unwrap();
        world.bus.lose(true);
        challenges[0].answer(&id, Answer::Deny, "p").await.unwrap();
        world.bus.lose(false);
        let before = world.now();
        for n in 0..100 {
            let notice = Notice {
                group: "g".into(),
                kind: Kind::Challenge,
                id: format!("other-{n}").into(),
                change: Change::Removed,
                origin: "elsewhere".into(),
            };
            world.bus.publish(notice).await.unwrap();
        }
        // More than the keeper takes at once: it reads what is waited for instead.
        assert_eq!(subscription.next().await.unwrap().unwrap(), Status::Denied);
        assert_eq!(world.now(), before);
    });
}

#[test]
fn whoever_answers_again_tells_those_who_did_not_hear() {
    run(async {
        let world = World::new();
        let nodes = [world.node().await, world.node().await, world.node().await];
        let challenges = nodes.each_ref().map(|node| node.challenges("g"));
        let id = issued(&challenges[0], &world, 60).await;
        let waiting = {
            let (node, id) = (challenges[1].clone(), id.clone());
            let until = world.now() + 30 * SECOND;
            tokio::spawn(async move { node.wait(&id, until).await })
        };
        world.settle().await;
        // the node that takes the answer dies before it can tell
        world.bus.lose(true);
        challenges[0]
            .answer(&id, Answer::Approve, "p")
            .await
            .unwrap();
        world.bus.lose(false);
        world.settle().await;
        assert!(!waiting.is_finished());
        let before = world.now();
        let again = challenges[2].answer(&id, Answer::Approve, "p").await;
        assert!(matches!(
            again.unwrap(),
            Outcome::AlreadyDecided(Status::Approved)
        ));
        assert_eq!(waiting.await.unwrap().unwrap(), Status::Approved);
        assert_eq!(world.now(), before, "without waiting for a timer");
    });
}
