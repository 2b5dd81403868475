/** The greatest amplitude within each column of a waveform's picture; pure. */

/**
 * @param samples -1 to 1
 * @param from index of the first column's first sample; may be negative or fractional
 * @param perColumn samples to a column
 * @returns 0 to 1 for each column; 0 where there is no sound to draw
 */
export function peaks(
  samples: Float32Array,
  from: number,
  perColumn: number,
  columns: number,
): Float32Array {
  const found = new Float32Array(columns);
  for (let column = 0; column < columns; column++) {
    const first = Math.max(0, Math.floor(from + column * perColumn));
    const end = Math.min(
      samples.length,
      Math.max(first + 1, Math.floor(from + (column + 1) * perColumn)),
    );
    let peak = 0;
    for (let index = first; index < end; index++)
      peak = Math.max(peak, Math.abs(samples[index] ?? 0));
    found[column] = Math.min(1, peak);
  }
  return found;
}
