// Durations to offer instead of one that was asked for.

/** Seconds that people use, from a minute to a month. */
const usual = [1, 5, 15, 30, 60, 120, 240, 480, 1440, 2880, 10_080, 20_160].map(
  (minutes) => minutes * 60,
);

/** As many as are offered. */
const offered = 4;

/** Shorter ones, in rising order; at least one for anything above a second. */
export function shorterThan(seconds: number): readonly number[] {
  const shorter = usual.filter((each) => each < seconds).slice(-offered);
  const half = Math.floor(seconds / 2);
  return shorter.length > 0 || half < 1 ? shorter : [half];
}
