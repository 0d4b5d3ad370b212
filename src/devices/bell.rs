//! Wakes those who wait for something new about an account's challenges, on whatever node it
//! happened.

use std::sync::{Arc, Weak};
use std::time::Duration;

use dashmap::DashMap;
use futures_util::StreamExt;
use tokio::sync::Notify;
use ueauth_actors::{Bus, ChallengeId, Clock, Delivery, Filter, Kind, Notice};

/// While nodes do not hear each other, those who wait look again after so long.
const DEAF: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub struct Bell {
    waiting: DashMap<String, Arc<Notify>>,
}

/// A place to wait at. Whatever happens after it was taken wakes whoever waits there.
#[derive(Debug)]
pub struct Place {
    bell: Arc<Bell>,
    key: String,
    notify: Option<Arc<Notify>>,
}

fn key(group: &str, account: &str) -> String {
    format!("{group}\n{account}")
}

impl Bell {
    /// Listens until nobody has the bell any more.
    pub fn start(bus: Arc<dyn Bus>, clock: Arc<dyn Clock>) -> Arc<Self> {
        let bell = Arc::new(Self::default());
        tokio::spawn(listen(Arc::downgrade(&bell), bus, clock));
        bell
    }

    /// How many accounts' devices wait.
    pub fn places(&self) -> usize {
        self.waiting.len()
    }

    pub fn place(self: &Arc<Self>, group: &str, account: &str) -> Place {
        let key = key(group, account);
        let notify = Arc::clone(&self.waiting.entry(key.clone()).or_default());
        Place {
            bell: Arc::clone(self),
            key,
            notify: Some(notify),
        }
    }

    fn heard(&self, notice: &Notice) {
        let Some(id) = ChallengeId::from_record_id(&notice.id) else {
            return self.ring_all();
        };
        if let Some(notify) = self.waiting.get(&key(&notice.group, &id.account)) {
            notify.notify_waiters();
        }
    }

    fn ring_all(&self) {
        for notify in &self.waiting {
            notify.notify_waiters();
        }
    }
}

impl Place {
    /// Wakes at whatever happens from the call on, even before it is awaited.
    pub fn woken(&self) -> impl Future<Output = ()> + '_ {
        let notified = self.notify.as_ref().map(|n| n.notified());
        async move {
            if let Some(notified) = notified {
                notified.await;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.notify = None;
        let last = |_: &String, notify: &Arc<Notify>| Arc::strong_count(notify) == 1;
        self.bell.waiting.remove_if(&self.key, last);
    }
}

async fn listen(bell: Weak<Bell>, bus: Arc<dyn Bus>, clock: Arc<dyn Clock>) {
    let filter = Filter {
        group: None,
        kind: Some(Kind::Challenge),
    };
    let mut health = bus.health();
    let pause = || clock.sleep_until(clock.after(DEAF));
    loop {
        let Ok(mut notices) = bus.subscribe(filter.clone()).await else {
            pause().await;
            match bell.upgrade() {
                Some(bell) => bell.ring_all(),
                None => return,
            }
            continue;
        };
        loop {
            let deaf = !*health.borrow_and_update();
            let heard = tokio::select! {
                heard = notices.next() => heard,
                () = pause(), if deaf => Some(Delivery::Gap),
                changed = health.changed() => changed.ok().map(|()| Delivery::Gap),
            };
            let Some(bell) = bell.upgrade() else {
                return;
            };
            match heard {
                Some(Delivery::Notice(notice)) => bell.heard(&notice),
                Some(Delivery::Gap) => bell.ring_all(),
                None => break,
            }
        }
    }
}
