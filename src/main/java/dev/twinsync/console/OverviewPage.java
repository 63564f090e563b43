package dev.twinsync.console;

import org.springframework.stereotype.Controller;
import org.springframework.web.bind.annotation.GetMapping;

/** Whether all is well, and where not, the way to what mends it. */
@Controller
class OverviewPage {

    @GetMapping("/console")
    String overview() {
        return "overview";
    }
}
