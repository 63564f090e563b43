package dev.twinsync.merge;

/**
 * What every write of ours comes back as: a reading that shows, at the position that the base has, just what the base
 * holds, of a golden record that it has seen. The merge of such a reading changes nothing but the base's account of it.
 */
public final class Echo {

    private Echo() {}

    /**
     * The base as the merge would leave it; null where the reading may be more than an echo and the merge must decide:
     * a doubt, an answer that is still out, a push or a field that could not be read, a look that ended before the base
     * was known, a golden version that the system has not seen.
     *
     * @param version of the golden record
     * @param reading whose values, in normal form, the base holds to the last one
     */
    public static Base of(Base base, Observation reading, long version) {
        boolean plain = base.known()
                && base.exists()
                && !base.doubt()
                && base.intents().isEmpty()
                && base.stated().isEmpty()
                && base.unusable().isEmpty()
                && version <= base.seen()
                && (base.wrote() == null || base.wrote().equals(reading.position()));
        boolean shown = reading.kind() == Observation.Kind.READING
                && reading.exists()
                && reading.position() != null
                && reading.position().equals(base.position())
                && reading.ticks().ended() >= base.ticks().began();
        if (!plain || !shown) {
            return null;
        }
        // begun before our write was answered, it is no newer than the answer
        return base.shown(reading.ticks().began() > base.ticks().ended() ? reading.ticks() : base.ticks());
    }
}
