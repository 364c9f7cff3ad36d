//! Helpers of the unit tests of layers and models.

use mlx_rs::Array;

/// Repeatable values in -1..1.
pub fn random(shape: &[i32], seed: u64) -> Array {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let count: i32 = shape.iter().product();
    let values: Vec<f32> = (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect();
    Array::from_slice(&values, shape)
}

/// The values in row-major order, whatever the array's layout.
pub fn host(array: &Array) -> Vec<f32> {
    let flat = array.reshape(&[-1]).unwrap().as_type::<f32>().unwrap();
    flat.eval().unwrap();
    flat.as_slice::<f32>().to_vec()
}

/// Every value within `tolerance`.
#[track_caller]
pub fn close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= tolerance, "off by {worst}");
}
