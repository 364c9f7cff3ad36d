//! The arguments of a call, and Python's rules of how they meet parameters.

use super::error::{Error, Result};
use super::value::Value;

#[derive(Debug, Default)]
pub(super) struct Args {
    pub positional: Vec<Value>,
    pub named: Vec<(Box<str>, Value)>,
}

impl Args {
    pub fn of(positional: Vec<Value>) -> Self {
        Self { positional, named: Vec::new() }
    }

    /// The values of these parameters, of which the first `required` must be there; each may be given by name.
    pub fn bind<const N: usize>(
        self,
        what: &str,
        names: [&str; N],
        required: usize,
    ) -> Result<[Option<Value>; N]> {
        if self.positional.len() > N {
            let given = self.positional.len();
            return Err(Error::new(format!("{what} takes at most {N} arguments ({given} given)")));
        }
        let mut values: [Option<Value>; N] = [const { None }; N];
        for (slot, value) in values.iter_mut().zip(self.positional) {
            *slot = Some(value);
        }
        for (name, value) in self.named {
            let Some(at) = names.iter().position(|known| **known == *name) else {
                return Err(Error::new(format!("{what} got an unexpected keyword argument '{name}'")));
            };
            if values[at].replace(value).is_some() {
                return Err(Error::new(format!("{what} got multiple values for argument '{name}'")));
            }
        }
        match values[..required].iter().position(Option::is_none) {
            Some(at) => Err(Error::new(format!("{what} misses the argument '{}'", names[at]))),
            None => Ok(values),
        }
    }

    /// The same for parameters that have no names.
    pub fn plain<const N: usize>(self, what: &str, required: usize) -> Result<[Option<Value>; N]> {
        if !self.named.is_empty() {
            return Err(Error::new(format!("{what} takes no keyword arguments")));
        }
        let given = self.positional.len();
        if given < required {
            return Err(Error::new(format!("{what} takes at least {required} arguments ({given} given)")));
        }
        self.bind(what, [""; N], 0)
    }

    /// Takes the argument of this name away.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.named.iter().position(|(known, _)| **known == *name)?;
        Some(self.named.remove(at).1)
    }
}
