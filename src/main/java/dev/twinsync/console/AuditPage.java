package dev.twinsync.console;

import dev.twinsync.audit.Audit;
import java.util.List;
import org.springframework.stereotype.Controller;
import org.springframework.ui.Model;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RequestParam;

/** Who did what, when, why, and what came of it. */
@Controller
class AuditPage {

    private static final int PAGE = 100;

    private final Audit audit;

    AuditPage(Audit audit) {
        this.audit = audit;
    }

    @GetMapping("/console/audit")
    String audit(
            @RequestParam(defaultValue = "") String who,
            @RequestParam(defaultValue = "") String act,
            @RequestParam(defaultValue = "") String kind,
            @RequestParam(defaultValue = "") String target,
            @RequestParam(defaultValue = "" + Long.MAX_VALUE) long after,
            Model page) {
        List<Audit.Entry> entries = audit.list(who, act, kind, target, after, PAGE);
        page.addAttribute("entries", entries);
        page.addAttribute("acts", audit.acts());
        page.addAttribute("who", who);
        page.addAttribute("act", act);
        page.addAttribute("kind", kind);
        page.addAttribute("target", target);
        page.addAttribute("next", Show.next(entries, PAGE, Audit.Entry::id));
        return "audit";
    }
}
