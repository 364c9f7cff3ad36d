//! The arguments of a call, and Python's rules of how they meet parameters.

use minijinja::Error;
use minijinja::value::Value;

use super::values::error;

#[derive(Debug, Default)]
pub(super) struct Args {
    pub positional: Vec<Value>,
    pub named: Vec<(String, Value)>,
}

impl Args {
    /// From what minijinja hands to a function: keyword arguments are a last value of their own.
    pub fn of(values: &[Value]) -> Result<Self, Error> {
        let Some((kwargs, positional)) = values.split_last().filter(|(last, _)| last.is_kwargs()) else {
            return Ok(Self { positional: values.to_vec(), named: Vec::new() });
        };
        let names = kwargs.try_iter()?;
        let named = names.map(|name| match name.as_str() {
            Some(text) => Ok((text.to_owned(), kwargs.get_item(&name)?)),
            None => Err(error("keywords must be strings")),
        });
        Ok(Self { positional: positional.to_vec(), named: named.collect::<Result<_, Error>>()? })
    }

    /// The values of these parameters, of which the first `required` must be there; each may be given by name.
    pub fn bind<const N: usize>(
        self,
        what: &str,
        names: [&str; N],
        required: usize,
    ) -> Result<[Option<Value>; N], Error> {
        if self.positional.len() > N {
            let given = self.positional.len();
            return Err(error(format!("{what} takes at most {N} arguments ({given} given)")));
        }
        let mut values: [Option<Value>; N] = [const { None }; N];
        for (slot, value) in values.iter_mut().zip(self.positional) {
            *slot = Some(value);
        }
        for (name, value) in self.named {
            let Some(at) = names.iter().position(|known| **known == *name) else {
                return Err(error(format!("{what} got an unexpected keyword argument '{name}'")));
            };
            if values[at].replace(value).is_some() {
                return Err(error(format!("{what} got multiple values for argument '{name}'")));
            }
        }
        match values[..required].iter().position(Option::is_none) {
            Some(at) => Err(error(format!("{what} misses the argument '{}'", names[at]))),
            None => Ok(values),
        }
    }

    /// The same for parameters that have no names.
    pub fn plain<const N: usize>(self, what: &str, required: usize) -> Result<[Option<Value>; N], Error> {
        if !self.named.is_empty() {
            return Err(error(format!("{what} takes no keyword arguments")));
        }
        let given = self.positional.len();
        if given < required {
            return Err(error(format!("{what} takes at least {required} arguments ({given} given)")));
        }
        self.bind(what, [""; N], 0)
    }
}
