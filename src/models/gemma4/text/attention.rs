//! Self-attention of one layer, which has keys of its own or uses those of an earlier layer.

use mlx_rs::Array;
use mlx_rs::ops::concatenate;

use super::config::{HeadConfig, LayerType, TextConfig};
use crate::error::Result;
use crate::models::shared::setting::Setting;
use crate::nn::group::Ranks;
use crate::nn::linear::Linear;
use crate::nn::loader::Loader;
use crate::nn::mlx;
use crate::nn::norm::{RmsNorm, cast};
use crate::nn::runs::{KeyValues, head_major};
use crate::nn::state::State;

pub struct Attention {
    heads: HeadConfig,
    /// Heads of this rank.
    query_heads: i32,
    kv_heads: i32,
    /// Queries and, in layers with keys of their own, keys, and values where they are projected.
    projections: Linear,
    owns_keys: bool,
    /// Of every head by its own weight: of queries and keys that of `q_norm` and `k_norm`, of values ones. Without weight
    /// where keys become values before they get theirs.
    head_norm: RmsNorm,
    /// What the norm is without.
    qk_weight: Option<Array>,
    output: Linear,
    ranks: Ranks,
}

/// Where a layer's keys and values come from.
pub enum Source<'a, 's> {
    /// The layer's own projections, behind those that this layer of the states holds.
    Own(&'a mut [&'s mut State], usize),
    /// What another layer has come to in the same pass.
    Other(&'a [KeyValues]),
}

impl Attention {
    pub fn load(
        loader: &mut Loader,
        config: &TextConfig,
        path: &str,
        kind: LayerType,
        owns_keys: bool,
    ) -> Result<Attention> {
        let heads = *config.head_config(kind);
        let (dim, hidden) = (heads.head_dim, config.hidden_size);
        let (queries, keys) = (config.heads * dim, heads.kv_heads * dim);
        let share = loader.heads(config.heads, heads.kv_heads)?;
        let (own_queries, own_keys) = (share.queries.len(), share.keys.len());
        let [query_rows, key_rows] = share.cuts(dim, loader.ranks.shard());
        loader.attends(own_queries, hidden, own_queries * dim);
        let mut parts = vec![("q_proj", queries, query_rows)];
        let mut head_weight = |name: &str| -> Result<Array> {
            let weight = loader.part(&format!("{path}.{name}.weight"), &[dim], loader.dtype)?;
            Ok(weight.reshape(&[1, -1])?)
        };
        let mut rows = vec![head_weight("q_norm")?; own_queries];
        if owns_keys {
            parts.push(("k_proj", keys, key_rows.clone()));
            rows.extend(vec![head_weight("k_norm")?; own_keys]);
        }
        if owns_keys && !heads.k_eq_v {
            parts.push(("v_proj", keys, key_rows));
            let ones = Array::from_slice(&vec![1.0f32; dim], &[1, dim as i32]);
            rows.extend(vec![cast(&ones, loader.dtype)?; own_keys]);
        }
        let weight = loader.keep(concatenate(&rows, 0)?);
        let apart = owns_keys && heads.k_eq_v;
        Ok(Attention {
            heads,
            query_heads: own_queries as i32,
            kv_heads: own_keys as i32,
            projections: loader.rows_of(path, &parts, hidden)?,
            owns_keys,
            head_norm: RmsNorm::new(
                (!apart).then(|| weight.clone()),
                dim,
                config.rms_norm_eps,
                loader.device,
            ),
            qk_weight: apart.then_some(weight),
            output: loader.columns_of(&format!("{path}.o_proj"), hidden, queries, &share.query_rows(dim))?,
            ranks: loader.ranks.clone(),
        })
    }

    /// `[ΣT, H]` → `[ΣT, heads · D]`, before the output projection; and the keys and values that each run used.
    pub fn forward(&self, x: &Array, setting: &Setting, source: Source) -> Result<(Array, Vec<KeyValues>)> {
        let (q, own) = self.project(x, setting)?;
        let seen = match (source, own) {
            (Source::Own(states, layer), Some(new)) => {
                setting.append(&new.keys, &new.values, states, layer)?
            }
            (Source::Own(..), None) => return Err(mismatch("no keys of its own")),
            (Source::Other(_), Some(_)) => return Err(mismatch("keys of its own")),
            (Source::Other(other), None) => other.to_vec(),
        };
        let attended = setting.attend(&q, &seen, 1.0)?;
        Ok((head_major(&attended)?.reshape(&[x.dim(0), -1])?, seen))
    }

    /// `[T, heads · D]` → `[T, H]`.
    pub fn output(&self, attended: &Array) -> Result<Array> {
        self.ranks.sum(self.output.forward(attended)?)
    }

    /// Queries `[1, heads, T, D]`, and keys and values if the layer has them.
    ///
    /// Every head is normalized at once. Values get no weight; on layers without a value projection they are the keys before
    /// weight and rotation.
    fn project(&self, x: &Array, setting: &Setting) -> Result<(Array, Option<KeyValues>)> {
        let (count, dim) = (x.dim(0), self.heads.head_dim as i32);
        let (queries, kv) = (self.query_heads, self.kv_heads);
        let projected = self.projections.forward(x)?;
        let normed = self.head_norm.forward(&projected.reshape(&[1, count, -1, dim])?)?;
        let heads = |first: i32, stop: i32| mlx::slice(&normed, &[0, 0, first, 0], &[1, count, stop, dim]);
        let turn = |x: &Array| match &self.qk_weight {
            None => setting.turn(&head_major(x)?),
            Some(weight) => setting.turn(&head_major(&x.multiply(weight)?)?),
        };
        if !self.owns_keys {
            return Ok((turn(&normed)?, None));
        }
        let values = if self.heads.k_eq_v { queries } else { queries + kv };
        let values = head_major(&heads(values, values + kv)?)?;
        let turned = turn(&heads(0, queries + kv)?)?;
        let q = mlx::slice(&turned, &[0; 4], &[1, queries, count, dim])?;
        let keys = mlx::slice(&turned, &[0, queries, 0, 0], &[1, queries + kv, count, dim])?;
        Ok((q, Some(KeyValues::new(keys, values))))
    }
}

/// A mistake of the caller, not of a snapshot.
fn mismatch(what: &str) -> crate::error::Error {
    crate::error::Error::new(crate::error::Code::Backend, format!("an attention layer has {what}"))
}
