//! Finds a route by method and path. Literal segments match in any case, parameters keep
//! theirs; one trailing slash is tolerated; a literal wins over a parameter.

use actix_web::http::Method;

/// The routes of one path, by method.
#[derive(Debug)]
struct Leaf<T> {
    pattern: &'static str,
    /// Each with its own pattern, since methods may call one parameter by different names.
    methods: Vec<(Method, &'static str, T)>,
}

#[derive(Debug)]
pub struct Router<T> {
    tree: matchit::Router<usize>,
    leaves: Vec<Leaf<T>>,
}

/// Parameters of a path, in order, still percent-encoded.
pub type Params = Vec<(&'static str, String)>;

#[derive(Debug)]
pub enum Found<'a, T> {
    Route(&'a T, Params),
    /// The path exists, the method does not.
    Methods(Vec<&'a Method>),
    Nothing,
}

impl<T> Default for Router<T> {
    fn default() -> Self {
        Self {
            tree: matchit::Router::new(),
            leaves: Vec::new(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("route {pattern} cannot be added: {cause}")]
pub struct RouteError {
    pattern: &'static str,
    cause: String,
}

impl<T> Router<T> {
    /// Adds a route; `pattern` is like `/api/{group}/accounts`.
    pub fn add(
        &mut self,
        method: Method,
        pattern: &'static str,
        value: T,
    ) -> Result<(), RouteError> {
        let fail = |cause: String| RouteError { pattern, cause };
        // parameters are told apart by position, so that `{group}` and `{id}` may share one
        let mut key = String::new();
        for (i, segment) in pattern.split('/').skip(1).enumerate() {
            key.push('/');
            if segment.starts_with('{') {
                key.push_str(&format!("{{p{i}}}"));
            } else {
                key.push_str(&segment.to_ascii_lowercase());
            }
        }
        let index = if let Some(i) = self.tree.at(&key).ok().map(|m| *m.value).filter(|i| {
            self.leaves
                .get(*i)
                .is_some_and(|l| shape(l.pattern) == shape(pattern))
        }) {
            i
        } else {
            self.leaves.push(Leaf {
                pattern,
                methods: Vec::new(),
            });
            self.tree
                .insert(key, self.leaves.len() - 1)
                .map_err(|e| fail(e.to_string()))?;
            self.leaves.len() - 1
        };
        let leaf = self
            .leaves
            .get_mut(index)
            .ok_or_else(|| fail("lost".to_owned()))?;
        if leaf.methods.iter().any(|(m, ..)| *m == method) {
            return Err(fail(format!("{method} is there already")));
        }
        leaf.methods.push((method, pattern, value));
        Ok(())
    }

    /// Routes in the order they were added, for tests and documents.
    pub fn iter(&self) -> impl Iterator<Item = (&Method, &'static str, &T)> {
        self.leaves
            .iter()
            .flat_map(|l| l.methods.iter().map(|(m, pattern, t)| (m, *pattern, t)))
    }

    pub fn find(&self, method: &Method, path: &str) -> Found<'_, T> {
        let trimmed = if path.len() > 1 {
            path.strip_suffix('/').unwrap_or(path)
        } else {
            path
        };
        let lower = trimmed.to_ascii_lowercase();
        let Ok(hit) = self.tree.at(&lower) else {
            return Found::Nothing;
        };
        let Some(leaf) = self.leaves.get(*hit.value) else {
            return Found::Nothing;
        };
        // HEAD is answered like GET, without the body (RFC 9110 §9.3.2)
        let wanted = if *method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        match leaf.methods.iter().find(|(m, ..)| m == wanted) {
            Some((_, pattern, value)) => Found::Route(value, params(pattern, trimmed)),
            None => Found::Methods(leaf.methods.iter().map(|(m, ..)| m).collect()),
        }
    }
}

fn shape(pattern: &str) -> Vec<String> {
    pattern
        .split('/')
        .map(|s| {
            if s.starts_with('{') {
                "{}".to_owned()
            } else {
                s.to_ascii_lowercase()
            }
        })
        .collect()
}

fn params(pattern: &'static str, path: &str) -> Params {
    pattern
        .split('/')
        .zip(path.split('/'))
        .filter_map(|(p, v)| {
            p.strip_prefix('{')
                .and_then(|p| p.strip_suffix('}'))
                .map(|name| (name, v.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router() -> Router<u32> {
        let mut r = Router::default();
        r.add(Method::GET, "/api/{group}/accounts", 1).unwrap();
        r.add(Method::GET, "/api/group/{id}", 2).unwrap();
        r.add(Method::PATCH, "/api/group/{id}", 3).unwrap();
        r.add(Method::GET, "/api/{group}/account/{id}", 4).unwrap();
        r.add(Method::PUT, "/api/{group}/account/codes", 5).unwrap();
        r.add(Method::GET, "/api/account/groups", 6).unwrap();
        r.add(Method::POST, "/{group}/token", 7).unwrap();
        r.add(Method::GET, "/{group}/auth/{uid}", 8).unwrap();
        r.add(Method::POST, "/api/group/{name}", 9).unwrap();
        r
    }

    fn hit(method: Method, path: &str) -> Option<(u32, Params)> {
        match router().find(&method, path) {
            Found::Route(v, p) => Some((*v, p)),
            _ => None,
        }
    }

    #[test]
    fn literals_match_in_any_case_and_parameters_keep_theirs() {
        assert_eq!(
            hit(Method::GET, "/API/aBc/ACCOUNTS/"),
            Some((1, vec![("group", "aBc".to_owned())]))
        );
        assert_eq!(
            hit(Method::POST, "/X_y/ToKeN"),
            Some((7, vec![("group", "X_y".to_owned())]))
        );
    }

    #[test]
    fn methods_of_one_path_may_name_its_parameters_differently() {
        assert_eq!(
            hit(Method::POST, "/api/group/Q"),
            Some((9, vec![("name", "Q".to_owned())]))
        );
        assert_eq!(
            hit(Method::PATCH, "/api/group/Q"),
            Some((3, vec![("id", "Q".to_owned())]))
        );
    }

    #[test]
    fn literals_win_over_parameters() {
        assert_eq!(hit(Method::GET, "/api/group/Q").map(|h| h.0), Some(2));
        assert_eq!(
            hit(Method::PUT, "/api/g/account/codes").map(|h| h.0),
            Some(5)
        );
        assert_eq!(
            hit(Method::GET, "/api/account/groups").map(|h| h.0),
            Some(6)
        );
        assert_eq!(hit(Method::HEAD, "/api/g/accounts").map(|h| h.0), Some(1));
    }

    #[test]
    fn unknown_methods_name_the_known_ones() {
        assert!(
            matches!(router().find(&Method::DELETE, "/api/group/x"), Found::Methods(m) if m.len() == 3)
        );
        assert!(matches!(
            router().find(&Method::GET, "/nothing/at/all/here"),
            Found::Nothing
        ));
    }
}
