package dev.twinsync.capture;

/** Whoever reads everything again where changes may have been missed. */
public interface Gaps {

    /**
     * Changes of a system's records may have been missed: all its keys are to be read. When this returns, that is
     * stored and will be done, whatever happens to this instance.
     *
     * @param reason what happened, for people
     */
    void found(String system, String entity, String reason);
}
