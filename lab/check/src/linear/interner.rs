//! Values by number: objects compare values in every step of the search, and numbers compare in one instruction.

use std::collections::HashMap;

use crate::history::Value;

/// Numbers values in the order in which they are first met.
#[derive(Clone, Debug, Default)]
pub struct Interner {
    values: Vec<Value>,
    numbers: HashMap<Value, u32>,
}

impl Interner {
    /// The number of a value, a new one if it was not met before.
    pub fn number(&mut self, value: &Value) -> u32 {
        if let Some(number) = self.numbers.get(value) {
            return *number;
        }
        let number = u32::try_from(self.values.len()).expect("values are counted in 32 bits");
        self.values.push(value.clone());
        self.numbers.insert(value.clone(), number);
        number
    }

    /// The value with that number.
    pub fn value(&self, number: u32) -> &Value {
        &self.values[number as usize]
    }
}
