/** Numbers and times as people read them. */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const MINUS = "−";

const signed = (text: string): string => text.replace(/^-/, MINUS);

/** 412 ms; below 10 ms with a tenth. */
export function ms(value: number | null): string {
  if (value === null) return "–";
  return `${number(value)}\u00a0ms`;
}

/** The number of `ms` alone; of none a dash. */
export function number(value: number | null): string {
  if (value === null) return "–";
  return signed((Math.abs(value) < 9.95 ? fine : whole).format(value));
}

/** A difference: always with its sign. */
export const change = (value: number): string => (value > 0 ? `+${ms(value)}` : ms(value));

export const count = (value: number): string => whole.format(value);

/** 0.0312 as 3.1 %. */
export const percent = (share: number): string => `${fine.format(share * 100)}\u00a0%`;

/** "1 turn", "12,000 turns". */
export const counted = (value: number, one: string, many = `${one}s`): string =>
  `${count(value)} ${value === 1 ? one : many}`;

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });
const minute = new Intl.DateTimeFormat(undefined, { timeStyle: "short", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const exact = new Intl.DateTimeFormat(undefined, {
  dateStyle: "full",
  timeStyle: "medium",
  hourCycle: "h23",
});

/** A time of day, with the day when it is not the day of `now`. Unix seconds. */
export function moment(at: number, now: number = Date.now() / 1000): string {
  const [then, today] = [new Date(at * 1000), new Date(now * 1000)];
  const time = clock.format(then);
  return then.toDateString() === today.toDateString() ? time : `${day.format(then)}, ${time}`;
}

/** Date and time in full. Unix seconds. */
export const fullMoment = (at: number): string => exact.format(new Date(at * 1000));

/** A mark on a time axis that spans so many seconds. */
export function axisTime(at: number, span: number): string {
  const date = new Date(at * 1000);
  if (span > 2 * 86_400) return day.format(date);
  return span > 300 ? minute.format(date) : clock.format(date);
}

/** "3 min 20 s" for so many seconds. */
export function duration(seconds: number): string {
  const all = Math.max(0, Math.round(seconds));
  const [hours, minutes] = [Math.floor(all / 3600), Math.floor((all % 3600) / 60)];
  if (hours) return `${hours} h ${minutes} min`;
  return minutes ? `${minutes} min ${all % 60} s` : `${all} s`;
}

/** The start of an id that is too long to read. */
export const short = (id: string): string => (id.length > 10 ? id.slice(0, 8) : id);
