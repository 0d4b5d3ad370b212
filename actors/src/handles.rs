//! What callers of the item keepers hold.

use std::{
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    ActorError, Change, Draft, Millis, Record, UpdateError,
    items::{Edit, ItemCore},
    keeper::{Door, call},
};

/// The login sessions of one group.
pub type Sessions<S> = Items<S>;
/// The unfinished interactions of one group.
pub type Interactions<I> = Items<I>;

/// The items of one kind of one group. Cheap to clone, usable from any thread and runtime.
///
/// No method returns an item past its deadline.
pub struct Items<T: Clone + Send + Sync + 'static> {
    group: Arc<str>,
    door: Arc<dyn Door<ItemCore<T>>>,
}

impl<T: Clone + Send + Sync + 'static> Clone for Items<T> {
    fn clone(&self) -> Self {
        Self {
            group: Arc::clone(&self.group),
            door: Arc::clone(&self.door),
        }
    }
}

impl<T: Clone + Send + Sync + 'static> Items<T> {
    pub(crate) fn new(group: Arc<str>, door: Arc<dyn Door<ItemCore<T>>>) -> Self {
        Self { group, door }
    }

    async fn ask<R, F>(&self, ask: F) -> Result<R, ActorError>
    where
        R: Send + 'static,
        F: AsyncFnOnce(Rc<ItemCore<T>>) -> Result<R, ActorError> + Send + 'static,
    {
        call(&*self.door, &self.group, ask).await
    }

    /// The item. From memory without an actor hop if it was read lately and the bus is well.
    pub async fn get(&self, id: &str) -> Result<Option<Arc<T>>, ActorError> {
        let record = self.record(id).await?;
        Ok(record.map(|record| Arc::clone(&record.value)))
    }

    /// Like [`Items::get`], with deadline and keys.
    pub async fn record(&self, id: &str) -> Result<Option<Arc<Record<T>>>, ActorError> {
        let env = self.door.env();
        if env.trusted()
            && let Some(record) = self.door.peek(&self.group, id)
            && record.live(env.now())
        {
            return Ok(Some(record));
        }
        let id = id.to_owned();
        self.ask(async move |core: Rc<ItemCore<T>>| core.get(&id).await)
            .await
    }

    /// Writes a new item; [`ActorError::Exists`] if its id is taken.
    pub async fn create(&self, record: Record<T>) -> Result<Arc<Record<T>>, ActorError> {
        self.ask(async move |core: Rc<ItemCore<T>>| core.create(record).await)
            .await
    }

    /// Changes the value of an item, atomically on all nodes.
    ///
    /// `change` runs on the keeper, again whenever another node was faster; it must be quick
    /// and have no side effects. An `Err` from it leaves the item as it is.
    pub async fn update<R, E, F>(&self, id: &str, mut change: F) -> Result<R, UpdateError<E>>
    where
        R: Send + 'static,
        E: Send + 'static,
        F: FnMut(&mut T) -> Result<R, E> + Send + 'static,
    {
        self.update_draft(id, move |draft| change(&mut draft.value))
            .await
    }

    /// Like [`Items::update`], for changes of the deadline and the keys as well.
    pub async fn update_draft<R, E, F>(&self, id: &str, change: F) -> Result<R, UpdateError<E>>
    where
        R: Send + 'static,
        E: Send + 'static,
        F: FnMut(&mut Draft<T>) -> Result<R, E> + Send + 'static,
    {
        let id = id.to_owned();
        let (edit, result) = recorded(change);
        self.ask(async move |core: Rc<ItemCore<T>>| core.update(&id, edit).await)
            .await?;
        outcome(&result)
    }

    /// Moves the deadline.
    pub async fn extend(&self, id: &str, deadline: Millis) -> Result<(), ActorError> {
        let id = id.to_owned();
        let edit: Edit<T> = Box::new(move |draft| {
            draft.deadline = Some(deadline);
            true
        });
        self.ask(async move |core: Rc<ItemCore<T>>| core.update(&id, edit).await)
            .await
            .map(drop)
    }

    /// Gives the item a new id, as a session gets one at login, and changes it on the way. The
    /// old id is void before the new one is valid; keys and deadline are kept unless changed.
    pub async fn rotate<R, E, F>(
        &self,
        old_id: &str,
        new_id: &str,
        change: F,
    ) -> Result<R, UpdateError<E>>
    where
        R: Send + 'static,
        E: Send + 'static,
        F: FnMut(&mut Draft<T>) -> Result<R, E> + Send + 'static,
    {
        let (old, new) = (old_id.to_owned(), new_id.to_owned());
        let (edit, result) = recorded(change);
        self.ask(async move |core: Rc<ItemCore<T>>| core.rotate(&old, new, edit).await)
            .await?;
        outcome(&result)
    }

    /// Deletes the item and returns it.
    pub async fn remove(&self, id: &str) -> Result<Option<Arc<T>>, ActorError> {
        self.withdraw(id, Change::Removed).await
    }

    /// Takes the item. Of all callers on all nodes exactly one gets it.
    pub async fn take(&self, id: &str) -> Result<Option<Arc<T>>, ActorError> {
        self.withdraw(id, Change::Taken).await
    }

    async fn withdraw(&self, id: &str, change: Change) -> Result<Option<Arc<T>>, ActorError> {
        let id = id.to_owned();
        let removed = self
            .ask(async move |core: Rc<ItemCore<T>>| core.remove(&id, change).await)
            .await?;
        Ok(removed.map(|record| Arc::clone(&record.value)))
    }

    /// The items that carry this secondary key, from the journal.
    pub async fn find_by_key(&self, key: &str) -> Result<Vec<Arc<Record<T>>>, ActorError> {
        let key = key.to_owned();
        self.ask(async move |core: Rc<ItemCore<T>>| core.find_by(&key).await)
            .await
    }

    /// Deletes the items that carry this secondary key and returns how many there were.
    pub async fn remove_by_key(&self, key: &str) -> Result<usize, ActorError> {
        let key = key.to_owned();
        self.ask(async move |core: Rc<ItemCore<T>>| core.remove_by(&key).await)
            .await
    }
}

type Recorded<R, E> = Arc<Mutex<Option<Result<R, E>>>>;

/// Wraps a caller's closure so that its last result can be picked up afterwards.
fn recorded<T, R, E, F>(mut change: F) -> (Edit<T>, Recorded<R, E>)
where
    R: Send + 'static,
    E: Send + 'static,
    F: FnMut(&mut Draft<T>) -> Result<R, E> + Send + 'static,
{
    let result: Recorded<R, E> = Arc::default();
    let slot = Arc::clone(&result);
    let edit = Box::new(move |draft: &mut Draft<T>| {
        let result = change(draft);
        let accepted = result.is_ok();
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        accepted
    });
    (edit, result)
}

fn outcome<R, E>(result: &Recorded<R, E>) -> Result<R, UpdateError<E>> {
    match result.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(Ok(result)) => Ok(result),
        Some(Err(refusal)) => Err(UpdateError::Refused(refusal)),
        // The keeper answers only after it ran the closure.
        None => Err(UpdateError::Actor(ActorError::Restarted)),
    }
}
