//! Random numbers from a seed, and what is made of them: noise of a sensor, textures.

/// SplitMix64 (S. Vigna).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The numbers of a seed, and of a part of what that seed stands for.
    pub fn new(seed: u64, part: u64) -> Self {
        let mut random = Self(seed ^ part.wrapping_mul(0xD134_2543_DE82_EF95));
        random.next();
        random
    }

    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Between 0 and 1.
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Between two numbers.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// One of 0 to `count` − 1.
    pub fn below(&mut self, count: usize) -> usize {
        (self.next() % count.max(1) as u64) as usize
    }
}

/// Gaussian numbers of deviation 1, drawn once: noise takes them from a random place on, row by row.
#[derive(Debug)]
pub struct Gaussian(Vec<f32>);

impl Gaussian {
    const COUNT: usize = 1 << 16;

    /// The sum of twelve uniform numbers less six is near enough to a Gaussian.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, 0);
        Self((0..Self::COUNT).map(|_| (0..12).map(|_| random.unit()).sum::<f32>() - 6.0).collect())
    }

    /// Adds noise of this deviation to a row.
    pub fn add(&self, row: &mut [u8], deviation: f32, random: &mut Random) {
        let mut at = random.below(Self::COUNT);
        for sample in row {
            // Casts keep to what fits.
            *sample = (f32::from(*sample) + self.0[at] * deviation + 0.5) as u8;
            at = (at + 1) % Self::COUNT;
        }
    }
}

/// Smooth values at random points of a grid, blended between them: −1 to 1.
#[derive(Debug)]
pub struct Lattice {
    values: Vec<f32>,
    columns: usize,
    rows: usize,
}

impl Lattice {
    /// One of so many columns and rows; it repeats itself beyond them.
    pub fn new(columns: usize, rows: usize, random: &mut Random) -> Self {
        let values = (0..columns * rows).map(|_| random.between(-1.0, 1.0)).collect();
        Self { values, columns, rows }
    }

    /// The value at a place, in columns and rows.
    pub fn at(&self, x: f32, y: f32) -> f32 {
        let smooth = |share: f32| share * share * (3.0 - 2.0 * share);
        let whole = |place: f32| if place < 0.0 { place as i64 - 1 } else { place as i64 };
        let (left, top) = (whole(x), whole(y));
        let (across, down) = (smooth(x - left as f32), smooth(y - top as f32));
        let column = left.rem_euclid(self.columns as i64) as usize;
        let row = top.rem_euclid(self.rows as i64) as usize;
        let (next, below) = ((column + 1) % self.columns, (row + 1) % self.rows);
        let value = |column: usize, row: usize| self.values[row * self.columns + column];
        let upper = value(column, row) * (1.0 - across) + value(next, row) * across;
        let lower = value(column, below) * (1.0 - across) + value(next, below) * across;
        upper * (1.0 - down) + lower * down
    }

    /// Four octaves of it: about −1 to 1.
    pub fn rough(&self, x: f32, y: f32) -> f32 {
        let octave = |times: f32| self.at(x * times + times, y * times + 0.5 * times) / times;
        (octave(1.0) + octave(2.0) + octave(4.0) + octave(8.0)) / 1.4
    }
}
