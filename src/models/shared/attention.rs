//! Self-attention with norms of queries and keys, head by head (Gemma 3, Qwen3).

use mlx_rs::Array;
use mlx_rs::ops::concatenate;

use super::setting::Setting;
use crate::error::Result;
use crate::nn::group::Ranks;
use crate::nn::linear::Linear;
use crate::nn::loader::Loader;
use crate::nn::mlx;
use crate::nn::norm::RmsNorm;
use crate::nn::runs::head_major;
use crate::nn::state::State;

/// Sizes and numbers of one layer's attention.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    pub hidden_size: usize,
    pub heads: usize,
    pub kv_heads: usize,
    pub head_dim: usize,
    /// Of the scores.
    pub scale: f32,
    pub rms_norm_eps: f32,
    /// The file holds the norms' weights less one.
    pub norms_plus_one: bool,
}

pub struct Attention {
    heads: Heads,
    /// Queries, keys, values.
    projections: Linear,
    /// `q_norm` and `k_norm`, of every head by its own weight.
    head_norm: RmsNorm,
    output: Linear,
    ranks: Ranks,
}

impl Attention {
    /// Reads `path.{q,k,v,o}_proj` and `path.{q,k}_norm`; of a rank of a group, what its heads need.
    pub fn load(loader: &mut Loader, path: &str, heads: Heads) -> Result<Attention> {
        let (dim, hidden) = (heads.head_dim, heads.hidden_size);
        let (queries, keys) = (heads.heads * dim, heads.kv_heads * dim);
        let share = loader.heads(heads.heads, heads.kv_heads)?;
        let heads = Heads { heads: share.queries.len(), kv_heads: share.keys.len(), ..heads };
        loader.attends(heads.heads, hidden, heads.heads * dim);
        let mut rows = Vec::new();
        for (name, count) in [("q_norm", heads.heads), ("k_norm", heads.kv_heads)] {
            let name = format!("{path}.{name}.weight");
            let weight = match heads.norms_plus_one {
                true => loader.plus_one(&name, dim)?,
                false => loader.part(&name, &[dim], loader.dtype)?,
            };
            rows.extend(vec![weight.reshape(&[1, -1])?; count]);
        }
        let [query_rows, key_rows] = share.cuts(dim, loader.ranks.shard());
        let parts =
            [("q_proj", queries, query_rows), ("k_proj", keys, key_rows.clone()), ("v_proj", keys, key_rows)];
        let weight = loader.keep(concatenate(&rows, 0)?);
        Ok(Attention {
            heads,
            projections: loader.rows_of(path, &parts, hidden)?,
            head_norm: RmsNorm::new(Some(weight), dim, heads.rms_norm_eps, loader.device),
            output: loader.columns_of(&format!("{path}.o_proj"), hidden, queries, &share.query_rows(dim))?,
            ranks: loader.ranks.clone(),
        })
    }

    /// `[ΣT, H]` → `[ΣT, heads · D]`, before the output projection. Keys and values are appended to the layer `layer`
    /// of the states.
    pub fn forward(
        &self,
        x: &Array,
        setting: &Setting,
        states: &mut [&mut State],
        layer: usize,
    ) -> Result<Array> {
        let (count, dim) = (x.dim(0), self.heads.head_dim as i32);
        let (queries, kv) = (self.heads.heads as i32, self.heads.kv_heads as i32);
        let projected = self.projections.forward(x)?.reshape(&[1, count, -1, dim])?;
        let part = |x: &Array, from: i32, to: i32| mlx::slice(x, &[0, 0, from, 0], &[1, count, to, dim]);
        let normed = self.head_norm.forward(&part(&projected, 0, queries + kv)?)?;
        let turned = setting.turn(&head_major(&normed)?)?;
        let q = mlx::slice(&turned, &[0; 4], &[1, queries, count, dim])?;
        let k = mlx::slice(&turned, &[0, queries, 0, 0], &[1, queries + kv, count, dim])?;
        let v = head_major(&part(&projected, queries + kv, queries + 2 * kv)?)?;
        let seen = setting.append(&k, &v, states, layer)?;
        let attended = setting.attend(&q, &seen, self.heads.scale)?;
        head_major(&attended)?.reshape(&[count, -1]).map_err(Into::into)
    }

    /// `[T, heads · D]` → `[T, H]`.
    pub fn output(&self, attended: &Array) -> Result<Array> {
        self.ranks.sum(self.output.forward(attended)?)
    }
}
