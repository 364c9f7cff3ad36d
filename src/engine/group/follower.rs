//! Another rank's part of a model: it does what rank 0 says, pass by pass.

use std::rc::Rc;

use super::message::{Message, Pass, Then};
use crate::error::Result;
use crate::models::LanguageModel;
use crate::nn::group::Group;
use crate::nn::mirror::Mirror;
use crate::nn::state::State;
use crate::nn::{self, Device, mlx};

pub struct Follower {
    model: Box<dyn LanguageModel>,
    group: Rc<Group>,
    device: Device,
    mirror: Mirror,
}

impl Follower {
    /// With this rank's part of a model.
    pub fn new(model: Box<dyn LanguageModel>, group: Rc<Group>, device: Device) -> Follower {
        Follower { model, group, device, mirror: Mirror::default() }
    }

    /// Waits for the next message and does what it says. False once rank 0 has let the model go.
    pub fn step(&mut self) -> Result<bool> {
        nn::on(self.device, || self.obey()).map_err(|error| self.group.bond().explain(error))
    }

    fn obey(&mut self) -> Result<bool> {
        self.group.begin();
        let message = Message::of(&self.group.hear()?)?;
        for op in message.ops {
            self.mirror.apply(op, || self.model.new_state())?;
        }
        match message.then {
            Then::Rest => Ok(true),
            Then::End => Ok(false),
            Then::Pass(pass) => self.pass(&pass).map(|()| true),
        }
    }

    fn pass(&mut self, pass: &Pass) -> Result<()> {
        let batch = pass.share(&self.group, None)?;
        let numbers = pass.states();
        let mut states = self.mirror.take(&numbers)?;
        let hidden = self.model.forward(&batch, &mut states.iter_mut().collect::<Vec<&mut State>>())?;
        if batch.logits {
            let rows = hidden.rows.dim(0) as usize;
            mlx::async_eval([&self.model.logits(&hidden, 0..rows)?])?;
        }
        mlx::async_eval(states.iter().flat_map(State::arrays))?;
        self.mirror.put_back(&numbers, states);
        Ok(())
    }
}
