package dev.twinsync;

/** A setting that can't be used: the start ends, and the message is one line for whoever deploys. */
public class InvalidSetting extends RuntimeException {

    /** @param message the setting's name, what is wrong with it, and what to write instead */
    public InvalidSetting(String message) {
        super(message);
    }

    public InvalidSetting(String message, Throwable cause) {
        super(message, cause);
    }
}
